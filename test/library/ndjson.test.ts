import { appendFile, readFile, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { beforeAll, afterAll, describe, expect, it } from 'vitest';
import { readNdjson } from '../../src/index.ts';
import { rejection } from '../support/rejection.ts';
import { newestRun } from '../support/publishedRun.ts';
import { makeSite, type Site } from '../support/site.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

async function texts(place: string, type?: string, signal?: AbortSignal): Promise<readonly string[]> {
  const found: string[] = [];
  for await (const { text } of readNdjson(place, type, { signal })) found.push(text);
  return found;
}

async function fileOf(text: string | Buffer): Promise<string> {
  const file = path.join(await temporaryFolder(), 'Some.ndjson');
  await writeFile(file, text);
  return file;
}

const A = '{"resourceType":"Observation","id":"a","value":1.50}';
const B = '{"id":"b","resourceType":"Task","note":"\u2028"}';

describe('a file', () => {
  it('is read line by line, exactly, also without its last line feed', async () => {
    expect(await texts(await fileOf(`${A}\n${B}`))).toEqual([A, B]);
    expect(await texts(await fileOf(`\ufeff${A}\r\n \r\n\n${B}\n`))).toEqual([A, B]);
    expect(await texts(await fileOf(''))).toEqual([]);
  });

  it('gives type and id of each, and those of one type', async () => {
    const file = await fileOf(`${A}\n${B}\n{"resourceType":"OperationOutcome"}\n`);
    const named: string[] = [];
    for await (const { type, id } of readNdjson(file)) named.push(`${type}/${id}`);
    expect(named).toEqual(['Observation/a', 'Task/b', 'OperationOutcome/undefined']);
    expect(await texts(file, 'Task')).toEqual([B]);
  });

  it.each([
    ['is cut off', `${A}\n${B.slice(0, -1)}`, 'line 2'],
    ['is no JSON', `${A}\n{oops}\n${B}\n`, 'line 2'],
    ['is no object', `[${A}]\n`, 'line 1'],
    ['is two objects', `${A}${B}\n`, 'line 1'],
    ['has no type', '{"id":"a"}\n', 'line 1'],
    ['is not UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d, 0x0a]), 'line 1'],
    ['begins with much white space', `${' '.repeat(100)}x\n`, 'line 1'],
  ])('of which a line %s ends there', async (_, text, where) => {
    const error = await rejection(texts(await fileOf(text)));
    expect([error.code, error.message.includes(where)]).toEqual(['VERIFY_DAMAGED', true]);
  });

  it('that is not there is said, and an abort ends the reading', async () => {
    expect(await rejection(texts('/no/such/file.ndjson'))).toMatchObject({ code: 'PATH_UNUSABLE' });
    const signal = AbortSignal.abort(new Error('enough'));
    await expect(texts(await fileOf(`${A}\n`), undefined, signal)).rejects.toThrow('enough');
  });
});

describe('a published folder', () => {
  let site: Site;
  let folder: string;
  beforeAll(async () => {
    site = await makeSite({ sandbox: { patients: 3, smtp: false }, mail: false });
    expect((await site.run(['run'])).code).toBe(0);
    ({ folder } = await newestRun(site));
  });
  afterAll(() => site.close());

  it('has all that its manifest names as output, and nothing else', async () => {
    const [patients, conditions] = await Promise.all(
      ['Patient', 'Condition'].map(async (type) => {
        const text = await readFile(path.join(folder, `${type}.ndjson`), 'utf8');
        return text.trimEnd().split('\n');
      }),
    );
    expect((await texts(folder)).toSorted()).toEqual([...patients!, ...conditions!].toSorted());
    expect(await texts(folder, 'Condition')).toEqual(conditions);
    expect(await texts(folder, 'Device')).toEqual([]);
    expect(await texts(path.join(folder, '..', 'current'), 'Patient')).toEqual(patients);
  });

  it('that was changed since is damage, said when the file was read', async () => {
    const file = path.join(folder, 'Patient.ndjson');
    const before = await readFile(file);
    await appendFile(file, `${A}\n`);
    expect(await rejection(texts(folder, 'Patient'))).toMatchObject({ code: 'VERIFY_DAMAGED' });
    await writeFile(file, before.toString().replace('"female"', '"unknown"').replace('"male"', '"other"'));
    expect((await rejection(texts(folder, 'Patient'))).message).toContain('sha256');
    await writeFile(file, before);
    await truncate(file, before.length - 3);
    expect((await rejection(texts(folder, 'Patient'))).message).toContain('cut off');
    expect((await texts(folder, 'Condition')).length).toBeGreaterThan(0);
    await writeFile(file, before);
    expect((await texts(folder, 'Patient')).length).toBe(3);
  });

  it('is a folder with a manifest', async () => {
    expect(await rejection(texts(site.exportFolder))).toMatchObject({ code: 'VERIFY_DAMAGED' });
  });
});
