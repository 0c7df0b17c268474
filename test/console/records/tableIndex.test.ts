import { cp, mkdir, readdir, readFile, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { fold } from '../../../src/console/records/fold.ts';
import { buildIndexes } from '../../../src/console/records/indexBuild.ts';
import { isWhole, readMeta } from '../../../src/console/records/indexFormat.ts';
import { sortColumn } from '../../../src/console/records/columnSort.ts';
import { rowsWith } from '../../../src/console/records/rowFilter.ts';
import { chosenRows, TableIndex } from '../../../src/console/records/tableIndex.ts';
import { tableOf } from '../../../src/console/records/tables.ts';
import { thrown } from '../../support/rejection.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

const NEVER = new AbortController().signal;
const STATUSES = ['final', 'amended', 'entered-in-error', ''];
const WORDS = ['Glucose', 'ÄRGER', 'straße', 'Σοφός', 'a\nb', '=1+1', '', 'sodium glucose'];
/** Enough for several slices of a column. */
const ROWS = 5_000;

interface Made {
  readonly id: string;
  readonly status: string;
  readonly text: string;
  readonly date: string;
  readonly value: number | undefined;
}

/** Rows that have everything in every combination, in no order. */
function madeRows(): readonly Made[] {
  return Array.from({ length: ROWS }, (_, no) => {
    const mixed = (no * 7919) % ROWS;
    return {
      id: `id-${mixed}`,
      status: STATUSES[mixed % STATUSES.length]!,
      text: `${WORDS[mixed % WORDS.length]} ${mixed % 97}`,
      date: mixed % 11 === 0 ? '' : `20${String(mixed % 90).padStart(2, '0')}-0${(mixed % 9) + 1}`,
      value: mixed % 5 === 0 ? undefined : (mixed % 300) - 100,
    };
  });
}

function lineOf({ id, status, text, date, value }: Made, no: number): string {
  const resource = {
    resourceType: 'Observation',
    id,
    ...(status !== '' && { status }),
    code: { text },
    subject: { reference: `Patient/p${no % 10}` },
    ...(date !== '' && { effectiveDateTime: date }),
    ...(value === undefined ? { valueString: `text ${no % 3}` } : { valueQuantity: { value, unit: 'g' } }),
  };
  return JSON.stringify(resource);
}

/** Indexes lines as two files of one table. */
async function indexed(lines: readonly string[]) {
  const folder = await temporaryFolder();
  const sourceFolder = path.join(folder, 'source');
  await mkdir(sourceFolder);
  const half = Math.floor(lines.length / 2);
  const texts = [lines.slice(0, half), lines.slice(half)].map((some) =>
    some.map((line) => `${line}\n`).join(''),
  );
  const files = texts.map((text, no) => ({
    name: `${no}.ndjson`,
    bytes: Buffer.byteLength(text),
    sha256: `${no}`,
  }));
  for (const [no, text] of texts.entries()) await writeFile(path.join(sourceFolder, `${no}.ndjson`), text);
  const index = path.join(folder, 'Observation');
  const parts = [{ files, tables: [{ resourceType: 'Observation', folder: index }] }];
  const build = () => buildIndexes({ sourceFolder, base: 'https://fhir.example/R4', parts }, () => undefined);
  build();
  const meta = (await readMeta(index, files))!;
  const sort = async (column: string) => sortColumn({ folder: index, column });
  const table = new TableIndex({ folder: index, sourceFolder }, meta, tableOf('Observation'), sort);
  return { folder: index, sourceFolder, files, meta, table, build };
}

async function rowsOf(
  table: TableIndex,
  filters: Readonly<Record<string, string>>,
): Promise<readonly number[]> {
  const chosen = await table.filter(new Map(Object.entries(filters)), NEVER);
  return [...chosenRows(table.meta.rows, undefined, false, chosen)];
}

test('filters find exactly the rows whose cells have the words', async () => {
  const made = madeRows();
  const { table } = await indexed(made.map(lineOf));
  const columns = table.table.columns;
  const cells = made.map((row, no) => {
    const resource = JSON.parse(lineOf(row, no));
    // JSON.parse keeps these numbers, but the cells want them as texts.
    const value = row.value === undefined ? `text ${no % 3}` : `${row.value} g`;
    return new Map(
      columns.map(({ key, cell }) => [key, fold(key === 'value' ? value : cell(resource).text)]),
    );
  });
  const expected = (is: (cells: ReadonlyMap<string, string>) => boolean) =>
    cells.flatMap((row, no) => (is(row) ? [no] : []));
  const inAny = (word: string) => (row: ReadonlyMap<string, string>) =>
    [...row.values()].some((text) => text.includes(fold(word)));
  for (const word of [
    'glucose',
    'ärger',
    'STRASSE',
    'ΣΟΦΌΣ',
    '=1+1',
    'id-49',
    '9',
    'patient/p3',
    'nowhere',
    '-',
  ]) {
    // A leading `=` asks for the whole cell.
    const asked = word.startsWith('=') ? word.slice(1) : word;
    expect(await rowsOf(table, { '': asked }), word).toEqual(expected(inAny(asked)));
  }
  expect(await rowsOf(table, { status: '=final' })).toEqual(expected((row) => row.get('status') === 'final'));
  expect(await rowsOf(table, { status: '=' })).toEqual(expected((row) => row.get('status') === ''));
  expect(await rowsOf(table, { status: '!en' })).toEqual(
    expected((row) => !row.get('status')!.includes('en')),
  );
  expect(await rowsOf(table, { '': 'glucose 9', status: 'final', value: '!1' })).toEqual(
    expected(
      (row) =>
        inAny('glucose')(row) &&
        inAny('9')(row) &&
        row.get('status')!.includes('final') &&
        !row.get('value')!.includes('1'),
    ),
  );
});

test('where a column is cut for the search, nothing is lost and nothing found twice', async () => {
  const { folder, table } = await indexed(madeRows().map(lineOf));
  const columns = table.table.columns.map(({ key }) => key);
  for (const text of ['glucose', 'id-4', '9', 'e']) {
    const word = { text, isWhole: false, isNot: false };
    const [whole, cut] = await Promise.all(
      [1 << 20, 450].map((bytes) => rowsWith(folder, ROWS, columns, word, NEVER, bytes)),
    );
    expect([...chosenRows(ROWS, undefined, false, cut)]).toEqual([
      ...chosenRows(ROWS, undefined, false, whole),
    ]);
    expect(cut!.size).toBe([...chosenRows(ROWS, undefined, false, cut)].length);
  }
});

test('a column sorts numbers and dates as such, texts by code point, and what is empty last either way', async () => {
  const made = madeRows();
  const { table } = await indexed(made.map(lineOf));
  const stable = <T>(key: (row: Made, no: number) => T, compare: (a: T, b: T) => number) =>
    made
      .map((row, no) => ({ no, key: key(row, no) }))
      .toSorted((a, b) => compare(a.key, b.key) || a.no - b.no);

  const value = await table.orderBy('value');
  const byValue = stable(
    (row, no) => row.value ?? `text ${no % 3}`,
    (a, b) => {
      if (typeof a === 'number' && typeof b === 'number') return a - b;
      if (typeof a === 'string' && typeof b === 'string') return a < b ? -1 : Number(a > b);
      return typeof a === 'number' ? -1 : 1;
    },
  );
  expect([...chosenRows(ROWS, value, false, undefined)]).toEqual(byValue.map(({ no }) => no));

  const date = await table.orderBy('date');
  const isDated = ({ no }: { readonly no: number }) => made[no]!.date !== '';
  const byDate = stable(
    (row) => row.date,
    (a, b) => (a < b ? -1 : Number(a > b)),
  );
  const [dated, undated] = [byDate.filter(isDated), byDate.filter((row) => !isDated(row))];
  const rows = (some: readonly { readonly no: number }[]) => some.map(({ no }) => no);
  expect([...chosenRows(ROWS, date, false, undefined)]).toEqual([...rows(dated), ...rows(undated)]);
  expect([...chosenRows(ROWS, date, true, undefined)]).toEqual([
    ...rows(dated).toReversed(),
    ...rows(undated),
  ]);

  const text = await table.orderBy('what');
  const byText = stable(
    (row) => Buffer.from(fold(row.text)),
    (a, b) => a.compare(b),
  );
  expect([...chosenRows(ROWS, text, false, undefined)]).toEqual(rows(byText));
});

test('ids and patients are found, and lines come as they stand in the files', async () => {
  const lines = madeRows().map(lineOf);
  const { table } = await indexed(lines);
  const row = lines.findIndex((line) => line.includes('"id-49"'));
  expect(await table.rowsOfId('id-49')).toEqual([row]);
  expect(await table.rowsOfId('id-none')).toEqual([]);
  const ofPatient = await table.rowsOfPatient('p3');
  expect(ofPatient).toEqual(lines.flatMap((line, no) => (line.includes('Patient/p3"') ? [no] : [])));
  const found: string[] = [];
  for await (const { line } of table.lines([ROWS - 1, 0, row], NEVER)) found.push(line.toString('utf8'));
  expect(found).toEqual([lines.at(-1), lines[0], lines[row]]);
});

test('lines that cannot be read are counted, and shift nothing', async () => {
  const good = madeRows().slice(0, 4).map(lineOf);
  const { table, meta } = await indexed([
    good[0]!,
    '{"resourceType":',
    good[1]!,
    '[]',
    good[2]!,
    '',
    good[3]!,
  ]);
  expect(meta).toMatchObject({ rows: 4, badLines: 2 });
  const found: string[] = [];
  for await (const { line } of table.lines([0, 1, 2, 3], NEVER)) found.push(line.toString('utf8'));
  expect(found).toEqual(good);
});

test('an index of other files, of another size, or cut in the middle does not count', async () => {
  const { folder, files, meta, build } = await indexed(madeRows().slice(0, 100).map(lineOf));
  expect(await readMeta(folder, [{ ...files[0]!, sha256: 'other' }, files[1]!])).toBeUndefined();
  expect(await isWhole(folder, meta)).toBe(true);
  await truncate(path.join(folder, 'rows'), 160);
  expect(await isWhole(folder, meta)).toBe(false);
  // What a crash left of another attempt.
  await cp(folder, `${folder}.draft`, { recursive: true });
  build();
  expect(await isWhole(folder, (await readMeta(folder, files))!)).toBe(true);
  expect(await readdir(path.dirname(folder))).toEqual(['Observation', 'source']);
});

test('a file that is not as its manifest says makes no index', async () => {
  const { folder, sourceFolder, build } = await indexed(madeRows().slice(0, 10).map(lineOf));
  const before = await readFile(path.join(folder, 'meta.json'), 'utf8');
  await writeFile(path.join(sourceFolder, '1.ndjson'), '{"resourceType":"Observation"}\n');
  expect(thrown(build).code).toBe('CONSOLE_UNAVAILABLE');
  expect(await readFile(path.join(folder, 'meta.json'), 'utf8')).toBe(before);
});

test('a search ends when nobody waits for it', async () => {
  const { table } = await indexed(madeRows().map(lineOf));
  await expect(table.filter(new Map([['', 'x']]), AbortSignal.abort(new Error('gone')))).rejects.toThrow(
    'gone',
  );
});
