import { spawnSync, type SpawnSyncReturns } from 'node:child_process';
import { mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';
import { textsBelow } from '../support/site.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';
import { namesIn } from '../support/asked.ts';
import { watch, type Watched } from './crashing.ts';
import { makeSmallSite } from './smallRun.ts';

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

/** Runs the body with images of each operation; returns the folder as power cuts at the n-th leave it, the worst first. */
async function powerCutsIn(body: string, at: number, cuts = 1): Promise<readonly string[]> {
  const folder = await temporaryFolder();
  const root = path.join(folder, 'root');
  await mkdir(root);
  const reportFile = path.join(folder, 'crash.json');
  const { status, stderr } = runProgram(body, root, {
    power: true,
    imageFolder: path.join(folder, 'images'),
    cuts,
    seed: 1,
    roots: [root],
    shadowFolder: path.join(folder, 'shadow'),
    reportFile,
  });
  expect(status, stderr).toBe(0);
  const { images } = JSON.parse(await readFile(reportFile, 'utf8')) as Watched;
  const left = images.filter((image) => image.at === at && image.how === 'power');
  return left.map((image) => path.join(image.folder, 'root'));
}

function runProgram(body: string, root: string, plan: object): SpawnSyncReturns<string> {
  return spawnSync(process.execPath, ['--import', PRELOAD, '--input-type=module', '--eval', PROGRAM + body], {
    encoding: 'utf8',
    env: { PATH: process.env.PATH, ROOT: root, CRASH_PLAN: JSON.stringify(plan) },
  });
}

describe('the power cut of the crash tests', () => {
  it('takes a file whose entry was not synced, and bytes that were not', async () => {
    const body = `
      await put(at('lost'), 'text', true);
      await mkdir(at('late'));`;
    const [worst] = await powerCutsIn(body, 4);
    expect(await namesIn(worst!)).toEqual([]);
    const synced = `
      await put(at('kept'), 'safe', true);
      await sync(at());
      await put(at('kept'), ' and not', false);
      await mkdir(at('late'));`;
    const roots = await powerCutsIn(synced, 6, 9);
    expect(roots).toHaveLength(9);
    expect(await readFile(path.join(roots[0]!, 'kept'), 'utf8')).toBe('safe');
    for (const root of roots) {
      expect(await namesIn(root)).toEqual(['kept']);
      expect(await readFile(path.join(root, 'kept'), 'latin1')).toMatch(/^safe( and not|[ andot\0]*)$/);
    }
    expect(new Set(roots).size).toBeGreaterThan(2);
  });

  it('takes back a rename and a removal, and leaves those that were synced', async () => {
    const before = `
      await put(at('old'), 'old', true);
      await put(at('draft'), 'new', true);
      await put(at('other'), 'other', true);
      await sync(at());
      await rename(at('draft'), at('old'));
      await rm(at('other'));`;
    const [undone] = await powerCutsIn(`${before} await mkdir(at('late'));`, 13);
    expect(await namesIn(undone!)).toEqual(['draft', 'old', 'other']);
    expect(await readFile(path.join(undone!, 'old'), 'utf8')).toBe('old');
    const [done] = await powerCutsIn(`${before} await sync(at()); await mkdir(at('late'));`, 14);
    expect(await namesIn(done!)).toEqual(['old']);
    expect(await readFile(path.join(done!, 'old'), 'utf8')).toBe('new');
  });

  it('refuses an operation it does not know', async () => {
    const root = await temporaryFolder();
    const body = `
      const { writeFile } = await import('node:fs/promises');
      await writeFile(at('x'), '');`;
    const { stderr } = runProgram(body, root, { roots: [root], reportFile: path.join(root, 'crash.json') });
    expect(stderr).toContain('does not know writeFile');
  });
});

// Among the first things, among what is appended, and while it is published.
it.each([30, 72, 100])('what a real kill at operation %i leaves is its image', async (at) => {
  const small = await makeSmallSite();
  onTestFinished(() => small.close());
  const { site } = small;
  const { result, images } = await watch(site, ['run', '--quiet'], {
    power: false,
    imageFolder: site.path('images'),
    cuts: 0,
    at,
    how: 'before',
  });
  expect(result.signal).toBe('SIGKILL');
  expect(images).toHaveLength(at);
  const { folder } = images.at(-1)!;
  for (const root of [site.exportFolder, site.stateFolder]) {
    const left = [...(await textsBelow(root))].filter(([name]) => !name.endsWith('-shm'));
    expect(new Map(left)).toEqual(await textsBelow(path.join(folder, path.basename(root))));
  }
});
