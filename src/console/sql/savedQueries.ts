import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { RoundsError } from '../../errors.ts';
import { errno, writeAtomic } from '../../system/files.ts';
import type { Site } from '../site.ts';

export interface SavedQuery {
  readonly name: string;
  readonly sql: string;
}

const FILE = 'saved-queries.json';
const MOST = 200;
const LONGEST_NAME = 80;

/** By name. They may hold a patient's id, so they lie with the state (0600) and are never logged. */
export async function savedQueries(site: Site): Promise<readonly SavedQuery[]> {
  try {
    return JSON.parse(await readFile(path.join(site.folder, FILE), 'utf8')) as SavedQuery[];
  } catch (error) {
    if (errno(error) === 'ENOENT') return [];
    throw error;
  }
}

/** Saves a query under its name, in place of one of the same name; with an empty text, forgets it. */
export async function saveQuery(site: Site, { name, sql }: SavedQuery): Promise<void> {
  const wanted = name.trim();
  if (wanted === '' || wanted.length > LONGEST_NAME) {
    throw new RoundsError('CONSOLE_ASK_INVALID', `a name has 1 to ${LONGEST_NAME} characters`);
  }
  const others = (await savedQueries(site)).filter((one) => one.name !== wanted);
  if (others.length >= MOST) {
    throw new RoundsError('CONSOLE_ASK_INVALID', `there are ${MOST} saved queries already`);
  }
  const all = sql.trim() === '' ? others : [...others, { name: wanted, sql }];
  const sorted = all.toSorted((a, b) => a.name.localeCompare(b.name));
  await writeAtomic(path.join(site.folder, FILE), `${JSON.stringify(sorted, undefined, 1)}\n`);
}
