import { spawnSync } from 'node:child_process';
import { mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../support/temporaryFolder.ts';
import { namesIn } from './asked.ts';

const PRELOAD = pathToFileURL(path.join(import.meta.dirname, 'preload.mjs')).href;

/** A program with a folder `at`, `sync(path)`, and a durable operation `end()` at which the power goes. */
const PROGRAM = `
  import { mkdir, open, rename, rm } from 'node:fs/promises';
  import { openSync, writeSync } from 'node:fs';
  import path from 'node:path';
  const at = (...parts) => path.join(process.env.ROOT, ...parts);
  const put = async (file, text, synced) => {
    const handle = await open(file, 'a', 0o600);
    await handle.writeFile(text);
    if (synced) await handle.sync();
    await handle.close();
  };
  const sync = async (file) => {
    const handle = await open(file);
    await handle.sync();
    await handle.close();
  };
`;

/** Runs the body until its n-th operation, where the power goes; returns the folder. */
async function powerCutIn(body: string, at: number, seed: number): Promise<string> {
  const folder = await temporaryFolder();
  const root = path.join(folder, 'root');
  await mkdir(root);
  const plan = {
    at,
    seed,
    how: 'power',
    roots: [root],
    shadowFolder: path.join(folder, 'shadow'),
    reportFile: path.join(folder, 'crash.json'),
  };
  const { signal, stderr } = spawnSync(
    process.execPath,
    ['--import', PRELOAD, '--input-type=module', '--eval', PROGRAM + body],
    { encoding: 'utf8', env: { PATH: process.env.PATH, ROOT: root, CRASH_PLAN: JSON.stringify(plan) } },
  );
  expect(signal, stderr).toBe('SIGKILL');
  return root;
}

/** A seed whose power cut takes all changes of folders that are not safe. */
const TAKES_ALL = 7;

describe('the power cut of the crash tests', () => {
  it('takes a file whose entry was not synced, and bytes that were not', async () => {
    const body = `
      await put(at('lost'), 'text', true);
      await mkdir(at('late'));`;
    expect(await namesIn(await powerCutIn(body, 4, TAKES_ALL))).toEqual([]);
    const synced = `
      await put(at('kept'), 'safe', true);
      await sync(at());
      await put(at('kept'), ' and not', false);
      await mkdir(at('late'));`;
    for (let seed = 1; seed <= 8; seed++) {
      const root = await powerCutIn(synced, 6, seed);
      expect(await namesIn(root)).toEqual(['kept']);
      expect(await readFile(path.join(root, 'kept'), 'latin1')).toMatch(/^safe( and not|[ andot\0]*)$/);
    }
  });

  it('takes back a rename and a removal, and leaves those that were synced', async () => {
    const before = `
      await put(at('old'), 'old', true);
      await put(at('draft'), 'new', true);
      await put(at('other'), 'other', true);
      await sync(at());
      await rename(at('draft'), at('old'));
      await rm(at('other'));`;
    const undone = await powerCutIn(`${before} await mkdir(at('late'));`, 13, TAKES_ALL);
    expect(await namesIn(undone)).toEqual(['draft', 'old', 'other']);
    expect(await readFile(path.join(undone, 'old'), 'utf8')).toBe('old');
    const done = await powerCutIn(`${before} await sync(at()); await mkdir(at('late'));`, 14, TAKES_ALL);
    expect(await namesIn(done)).toEqual(['old']);
    expect(await readFile(path.join(done, 'old'), 'utf8')).toBe('new');
  });

  it('refuses an operation it does not know', async () => {
    const root = await temporaryFolder();
    const plan = { at: 0, seed: 1, how: 'before', roots: [root], reportFile: path.join(root, 'crash.json') };
    const { stderr } = spawnSync(
      process.execPath,
      [
        '--import',
        PRELOAD,
        '--input-type=module',
        '--eval',
        `import { writeFile } from 'node:fs/promises'; await writeFile(process.env.ROOT + '/x', '');`,
      ],
      { encoding: 'utf8', env: { PATH: process.env.PATH, ROOT: root, CRASH_PLAN: JSON.stringify(plan) } },
    );
    expect(stderr).toContain('does not know writeFile');
  });
});
