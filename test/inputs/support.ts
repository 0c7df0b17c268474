import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach } from 'vitest';
import { RoundsError } from '../../src/errors.ts';

const folders: string[] = [];
afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true });
});

/** A real file that is gone after the test. */
export async function writeInput(name: string, content: string | Buffer): Promise<string> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'rounds-'));
  folders.push(folder);
  const file = path.join(folder, name);
  await writeFile(file, content);
  return file;
}

/** The problems of an INPUT_INVALID error, as `name:line:column: what` with the folder left out. */
export async function inputProblems(reading: Promise<unknown>): Promise<readonly string[]> {
  try {
    await reading;
  } catch (error) {
    if (!(error instanceof RoundsError) || error.code !== 'INPUT_INVALID') throw error;
    return error.problems.map(({ where, what }) => `${path.basename(where)}: ${what}`);
  }
  throw new Error('the file was taken');
}

/** All that an iteration gives. */
export async function all<T>(rows: AsyncIterable<T>): Promise<readonly T[]> {
  const list: T[] = [];
  for await (const row of rows) list.push(row);
  return list;
}
