import { describe, expect, it } from 'vitest';
import { readRoster, scanRoster } from '../../src/inputs/patientRoster.ts';
import type { RosterOptions } from '../../src/inputs/patientRoster.ts';
import { all, inputProblems, writeInput } from './support.ts';

const STOP: RosterOptions = { badRows: 'stop' };
const SKIP: RosterOptions = { badRows: 'skip' };

async function read(content: string | Buffer, options = STOP) {
  return await all(readRoster(await writeInput('roster.csv', content), options));
}

async function problems(content: string | Buffer, options = STOP) {
  return await inputProblems(read(content, options));
}

describe('readRoster', () => {
  const TWO = [
    { line: 2, patientId: 'a1' },
    { line: 3, patientId: 'B.2_x-' },
  ];
  it.each([
    ['fhir_id', 'fhir_id\na1\nB.2_x-\n'],
    ['no last line end', 'fhir_id\na1\nB.2_x-'],
    ['CRLF', 'name,fhir_id\r\nX,a1\r\nY,B.2_x-\r\n'],
    ['a BOM', '\ufefffhir_id,name\na1,X\nB.2_x-,Y\n'],
    ['semicolons', 'name;fhir_id\n"X; Y, Z";a1\nÜ,Ö;B.2_x-\n'],
    ['tabs', 'name\tfhir_id\nX, Y\ta1\nZ\tB.2_x-\n'],
    ['quotes', '"name","fhir_id"\n"O""Neil, Ann","a1"\n,B.2_x-\n'],
    ['patient_id', 'Patient_ID\na1\nB.2_x-\n'],
    ['id', ' ID ,name\n a1 ,X\nB.2_x-,Y\n'],
    ['fhir_id beside id', 'id,fhir_id\n1,a1\n2,B.2_x-\n'],
    ['the type in front', 'fhir_id\nPatient/a1\nB.2_x-\n'],
    ['an unnamed column', ',fhir_id\n0,a1\n1,B.2_x-\n'],
    ['fhir_id before mrn', 'mrn,fhir_id\nm1,a1\nm1,B.2_x-\n'],
  ])('reads a roster with %s', async (_, content) => {
    expect(await read(content)).toEqual(TWO);
  });

  it('takes MRNs, and whichever of the two a row has', async () => {
    expect(await read('mrn\n203713\nE-12\n')).toEqual([
      { line: 2, mrn: '203713' },
      { line: 3, mrn: 'E-12' },
    ]);
    expect(await read('fhir_id,mrn\n,x\ny,x\n')).toEqual([
      { line: 2, mrn: 'x' },
      { line: 3, patientId: 'y' },
    ]);
  });

  it('counts lines as an editor does', async () => {
    const rows = await read('name,fhir_id\r\n\r\n"two\r\nlines",a\r\n\r\n\r\n"three\n\nlines",b\r\nX,c\r\n');
    expect(rows).toEqual([
      { line: 3, patientId: 'a' },
      { line: 7, patientId: 'b' },
      { line: 10, patientId: 'c' },
    ]);
  });

  it('tells ids apart by case', async () => {
    expect(await read('fhir_id\nabc\nabC\n')).toHaveLength(2);
  });

  it.each([
    ['SECRET 1', 'is no id: it holds white space inside'],
    ['Observation/SECRET1', 'is no id: it refers to another resource type; write a Patient id'],
    ['a/SECRET', 'is no id: it holds a slash'],
    ['SECRET?x', 'is no id: it holds a question mark'],
    ['=SECRET1', 'is no id: it looks like a formula; export values and not formulas'],
    ['+SECRET1', 'is no id: it looks like a formula; export values and not formulas'],
    ['urn:uuid:SECRET', 'is no id: it is a urn; write the logical id alone'],
    ['https://SECRET.example/1', 'is no id: it is a URL; write the logical id alone'],
    ['2.03714E+11', 'is no id: a spreadsheet rounded it; format the column as text and export again'],
    ['SECRETÉ', 'is no id: it holds a character outside ASCII'],
    ['SECRET$', 'is no id: it holds a character other than letters, digits, . _ and -'],
    ['S'.repeat(256), 'is no id: it has more than 255 characters'],
    ['', 'names no patient; write the id, or remove the row'],
  ])('refuses the id %j without repeating it', async (id, what) => {
    const listed = await problems(`name,fhir_id\nX,a\nSECRET,${id}\n`);
    expect(listed).toEqual([`roster.csv:3:2: ${what}`]);
  });

  it('names MRNs as such', async () => {
    expect(await problems('mrn\na b\n')).toEqual(['roster.csv:2:1: is no MRN: it holds white space inside']);
    expect(await problems('mrn,fhir_id\n,\n')).toEqual([
      'roster.csv:2: names no patient; write a fhir_id or an mrn, or remove the row',
    ]);
  });

  it('names both lines of a repeated patient', async () => {
    expect(await problems('name,fhir_id,mrn\nX,a,\nY,,m\nZ,Patient/a,\nX,,m\n')).toEqual([
      'roster.csv:4:2: is the id of line 2 again; remove one of the two',
      'roster.csv:5:3: is the MRN of line 3 again; remove one of the two',
    ]);
  });

  it('finds a repetition far away, behind quoted line breaks', async () => {
    const ids = Array.from({ length: 5000 }, (_, i) => `"Name\nNo ${i}",id${i}\n`).join('');
    expect(await problems(`name,fhir_id\n${ids}X,id4321\n`)).toEqual([
      'roster.csv:10002:2: is the id of line 8644 again; remove one of the two',
    ]);
  });

  it('looks a long row up whole before it calls another one its repetition', async () => {
    const long = `"${'line\n'.repeat(900)}"`;
    expect(await problems(`name,fhir_id\n${long},a\n${long},b\nX,a\n`)).toEqual([
      'roster.csv:1804:2: is the id of line 2 again; remove one of the two',
    ]);
  });

  it('counts the repetitions of a roster that was written twice', async () => {
    const ids = Array.from({ length: 2000 }, (_, i) => `id${i}\n`).join('');
    const listed = await problems(`fhir_id\n${ids}${ids}`);
    expect(listed[49]).toBe('roster.csv:2051:1: is the id of line 51 again; remove one of the two');
    expect(listed[50]).toBe('roster.csv: ... and 1950 more');
  });

  it('skips bad rows when told to, and keeps the first of a repeated patient', async () => {
    const content = 'name,fhir_id\nX,a\nY,b b\nZ,a\nshort\nX,c\n';
    expect(await read(content, SKIP)).toEqual([
      { line: 2, patientId: 'a' },
      { line: 6, patientId: 'c' },
    ]);
  });

  it('lists fifty problems and counts the others', async () => {
    const listed = await problems(`fhir_id\n${'a b\n'.repeat(60)}`);
    expect(listed).toHaveLength(51);
    expect(listed[49]).toMatch(/^roster\.csv:51:1: /);
    expect(listed[50]).toBe('roster.csv: ... and 10 more');
  });

  it.each([
    ['fhir_id\n', 'roster.csv: has no patient; write one row for each below the header'],
    ['', 'roster.csv:1: has no header; write the names of the columns in the first line'],
    ['\nfhir_id\na\n', 'roster.csv:1: has no header; write the names of the columns in the first line'],
    [
      'SECRET,1\nSECRET,2\n',
      'roster.csv:1: has none of the columns fhir_id, patient_id, id, mrn; write a header such as name,fhir_id',
    ],
    [
      'patient_id,id\na,b\n',
      'roster.csv:1: has patient_id and id, and either could be meant; name the right one fhir_id',
    ],
    [
      'fhir_id,name,FHIR_ID\na,b,c\n',
      'roster.csv:1:3: has the same name as column 1; rename or remove one of them',
    ],
    [
      'name,fhir_id\nSECRET,Ann,a\n',
      'roster.csv:2: has 3 fields where the header has 2; quote fields that hold a separator',
    ],
    ['name,fhir_id\na\n', 'roster.csv:2: has 1 fields where the header has 2; write the missing ones'],
    [
      'name,fhir_id\n"SECRET"x,a\n',
      'roster.csv:2: has text behind a closing quote; double a quote that belongs to the text',
    ],
    [
      'name,fhir_id\nX,a\nSEC"RET",a\n',
      'roster.csv:3: has a quote in a field that does not begin with one; quote the whole field and double the quotes in it',
    ],
  ])('refuses %j', async (content, problem) => {
    expect(await problems(content)).toEqual([problem]);
  });

  it('refuses a quote that is never closed, however long the file', async () => {
    const long = `name,fhir_id\n"SECRET,a\n${'X,b\n'.repeat(50_000)}`;
    for (const content of [long.slice(0, 40), long]) {
      const listed = await problems(content);
      expect(listed).toHaveLength(1);
      expect(listed[0]).toMatch(
        /^roster\.csv:\d+: is (where the file ends, within a quote|part of a row of more than 64 KB)/,
      );
    }
  });

  it.each([
    ['Latin-1', Buffer.from('name,fhir_id\nX,a\nM\xfcller,b\n', 'latin1'), 3],
    ['UTF-16', Buffer.from('\ufeffname,fhir_id\nX,a\n', 'utf16le'), 1],
    ['a cut character', Buffer.from('name,fhir_id\nX,a\nM\xc3', 'latin1'), 3],
  ])('refuses %s with its line', async (_, bytes, line) => {
    expect(await problems(bytes)).toEqual([
      `roster.csv:${line}: is not UTF-8 text; save the file as UTF-8 (in Excel: CSV UTF-8)`,
    ]);
  });

  it('says which file cannot be read', async () => {
    const reading = scanRoster('/nowhere/roster.csv', STOP);
    expect(await inputProblems(reading)).toEqual(['roster.csv: cannot be read: ENOENT']);
  });

  it('carries nothing of the file in its errors, however deep', async () => {
    for (const content of [
      'name,fhir_id\n"SECRET"x,a\n',
      'name,fhir_id\nX,SECRET 1\n',
      'name,fhir_id\nSECRET\n',
    ]) {
      const error: unknown = await read(content).then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      const texts: string[] = [];
      for (let at = error as Error | undefined; at !== undefined; at = at.cause as Error | undefined) {
        texts.push(at.message, at.stack ?? '', JSON.stringify(at));
      }
      expect(texts.join()).not.toContain('SECRET');
      expect(texts.length).toBeGreaterThan(0);
    }
  });

  it('stops when it is told to, and closes the file when the reader leaves', async () => {
    const file = await writeInput(
      'roster.csv',
      `fhir_id\n${Array.from({ length: 9 }, (_, i) => `i${i}\n`).join('')}`,
    );
    const stop = new AbortController();
    stop.abort(new Error('enough'));
    await expect(all(readRoster(file, { ...STOP, signal: stop.signal }))).rejects.toThrow('enough');
    for await (const row of readRoster(file, STOP)) {
      expect(row.line).toBe(2);
      break;
    }
  });
});

describe('scanRoster', () => {
  it('counts', async () => {
    const file = await writeInput('roster.csv', 'fhir_id,mrn\na,\n,m\nb,n\nx y,\n');
    expect(await scanRoster(file, SKIP)).toEqual({
      patients: 3,
      mrns: 1,
      skipped: 1,
      problems: [{ where: `${file}:5:1`, what: 'is no id: it holds white space inside' }],
    });
  });

  it('throws what readRoster throws', async () => {
    const file = await writeInput('roster.csv', 'fhir_id\nx y\n');
    expect(await inputProblems(scanRoster(file, STOP))).toEqual([
      'roster.csv:2:1: is no id: it holds white space inside',
    ]);
  });

  it('refuses a roster of which nothing is left', async () => {
    const file = await writeInput('roster.csv', 'fhir_id\nx y\n');
    expect(await inputProblems(scanRoster(file, SKIP))).toEqual([
      'roster.csv: has no patient; write one row for each below the header',
    ]);
  });

  it('reads 60,000 rows over many chunks, each once', async () => {
    const rows = Array.from({ length: 60_000 }, (_, i) => `"Ünal, No ${i}",e${i}.x-${i % 7}\n`);
    const file = await writeInput('roster.csv', `name,fhir_id\n${rows.join('')}`);
    let line = 1;
    for await (const row of readRoster(file, STOP)) {
      const i = line - 1;
      if (row.patientId !== `e${i}.x-${i % 7}` || row.line !== ++line) expect(row).toBe(`line ${line}`);
    }
    expect(line).toBe(60_001);
  });
});
