import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { finished } from 'node:stream/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compareFolders, type PublishedFolder } from '../../src/views/compareFolders.ts';
import type { Manifest } from '../../src/publish/manifest.ts';
import { runsOf } from '../support/publishedRun.ts';
import { listOf, makeSite, rosterOf, type Site } from '../support/site.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';
import { HAS_TERMINAL, runOnTerminal } from '../support/terminal.ts';

const signal = new AbortController().signal;

/** A folder as published, with these lines in as many files as there are lists. */
async function folderWith(type: string, files: readonly (readonly string[])[]): Promise<PublishedFolder> {
  const folder = await temporaryFolder();
  const output = files.map((lines, n) => ({ type, url: `${type}.${n}.ndjson`, count: lines.length }));
  for (const [n, lines] of files.entries()) {
    await writeFile(path.join(folder, `${type}.${n}.ndjson`), lines.map((line) => `${line}\n`).join(''));
  }
  return { folder, manifest: { output } as unknown as Manifest };
}

const record = (id: string, text = 'x') =>
  `{"resourceType":"Basic","contained":[{"id":"inner"}],"text":"${text}","id":"${id}"}`;

describe('two folders, record by record', () => {
  it.each([1, 2, 1000])(
    'finds what was added, changed and is absent, in parts of %d',
    async (partRecords) => {
      const before = await folderWith('Basic', [
        [record('a'), record('b'), record('c')],
        [record('d', '1.0')],
      ]);
      const after = await folderWith('Basic', [
        [record('e'), record('c'), record('d', '1.00'), record('a')],
        [],
      ]);
      const changes: string[] = [];
      const [basic, ...others] = await compareFolders(before, after, {
        signal,
        partRecords,
        onChange: (kind, type, id) => void changes.push(`${kind} ${type}/${id}`),
      });
      expect(others).toEqual([]);
      expect(basic).toEqual({
        resourceType: 'Basic',
        before: 4,
        after: 4,
        added: 1,
        changed: 1,
        absent: 1,
        same: 2,
      });
      expect(changes.toSorted()).toEqual(['absent Basic/b', 'added Basic/e', 'changed Basic/d']);
    },
  );

  it('counts a type that is in one of them alone', async () => {
    const before = await folderWith('Basic', [[record('a')]]);
    const after = await folderWith('Flag', [[`{"resourceType":"Flag","id":"a"}`]]);
    expect(await compareFolders(before, after, { signal })).toMatchObject([
      { resourceType: 'Basic', absent: 1, added: 0 },
      { resourceType: 'Flag', absent: 0, added: 1 },
    ]);
  });

  it('needs no memory for the records’ bytes', async () => {
    const records = 20_000;
    const folder = await temporaryFolder();
    const write = async (name: string, text: (n: number) => string): Promise<PublishedFolder> => {
      await mkdir(path.join(folder, name));
      const out = createWriteStream(path.join(folder, name, 'Basic.ndjson'));
      for (let n = 0; n < records; n++) {
        if (!out.write(`${record(`r${n}`, text(n))}\n`)) await once(out, 'drain');
      }
      out.end();
      await finished(out);
      const output = [{ type: 'Basic', url: 'Basic.ndjson', count: records }];
      return { folder: path.join(folder, name), manifest: { output } as unknown as Manifest };
    };
    const long = 'x'.repeat(1000);
    const before = await write('before', () => long);
    const after = await write('after', (n) => (n % 100 === 0 ? `${long}y` : long));
    const heldBefore = process.memoryUsage().arrayBuffers;
    let peak = 0;
    const [basic] = await compareFolders(before, after, {
      signal,
      onChange: () => void (peak = Math.max(peak, process.memoryUsage().arrayBuffers)),
    });
    expect(basic).toMatchObject({ changed: 200, same: 19_800 });
    // The two files are 42 MB.
    expect(peak - heldBefore).toBeLessThan(10_000_000);
  });
});

describe('diff', () => {
  let site: Site;
  let runs: readonly string[];
  beforeAll(async () => {
    site = await makeSite({ sandbox: { patients: 3, smtp: false }, mail: false });
    expect((await site.run(['run'])).code).toBe(0);
    await writeFile(site.rosterFile, rosterOf(site.sandbox, [0, 1]));
    await writeFile(site.resourcesFile, listOf(['Patient', 'Condition', 'Encounter']));
    expect((await site.run(['run', '--accept-roster'])).code).toBe(0);
    runs = await runsOf(site);
  });
  afterAll(() => site.close());

  const linesOf = async (run: string, type: string): Promise<Set<string>> =>
    new Set(
      (await readFile(path.join(site.exportFolder, 'default', run, `${type}.ndjson`), 'utf8'))
        .trimEnd()
        .split('\n'),
    );

  it('shows records by type, and with --content what changed', async () => {
    const { code, stdout } = await site.run(['diff', runs[0]!, 'latest']);
    expect(code).toBe(0);
    expect(stdout).toMatch(new RegExp(`^from ${runs[0]} to ${runs[1]}\n`));
    expect(stdout).toMatch(/^Patient +3 +2 +-1$/m);
    expect(stdout).toMatch(/^Encounter +0 +\d+ +\+\d+$/m);
    const before = await linesOf(runs[0]!, 'Condition');
    const after = await linesOf(runs[1]!, 'Condition');
    const content = await site.run(['diff', runs[0]!, 'current', '--content', '--json']);
    const { types } = JSON.parse(content.stdout) as { types: { resourceType: string }[] };
    expect(types.find(({ resourceType }) => resourceType === 'Condition')).toEqual({
      resourceType: 'Condition',
      before: before.size,
      after: after.size,
      added: 0,
      changed: 0,
      absent: [...before].filter((line) => !after.has(line)).length,
      same: after.size,
    });
  });

  it('writes ids into a new file for its owner alone, audited, and into no pipe', async () => {
    const piped = await site.run(['diff', runs[0]!, runs[1]!, '--ids']);
    expect(piped.code).toBe(2);
    expect(piped.stdout).not.toContain(site.sandbox.patientIdAt(2));
    const out = site.path('changes.ndjson');
    const { code, stdout, stderr } = await site.run(['diff', runs[0]!, runs[1]!, '--ids', '--out', out]);
    expect(code, stderr).toBe(0);
    expect(stdout).not.toContain(site.sandbox.patientIdAt(2));
    const changes = (await readFile(out, 'utf8'))
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as object);
    expect(changes).toContainEqual({ change: 'absent', type: 'Patient', id: site.sandbox.patientIdAt(2) });
    if (process.platform !== 'win32') expect((await stat(out)).mode & 0o777).toBe(0o600);
    const audit = await readFile(path.join(site.stateFolder, 'audit.ndjson'), 'utf8');
    const shown = audit.split('\n').filter((line) => line.includes('"ids.shown"'));
    expect(shown.map((line) => (JSON.parse(line) as { runId: string }).runId)).toEqual(runs);
    expect(audit).not.toContain(site.sandbox.patientIdAt(2));
    const again = await site.run(['diff', runs[0]!, runs[1]!, '--ids', '--out', out]);
    expect(again).toMatchObject({ code: 2, stderr: expect.stringContaining('exists already') as string });
  });

  it.runIf(HAS_TERMINAL)('prints ids to a terminal', async () => {
    const { code, screen } = await runOnTerminal([
      'diff',
      runs[0]!,
      runs[1]!,
      '--ids',
      '--config',
      site.configFile,
    ]);
    expect(code, screen).toBe(0);
    expect(screen).toContain(`absent   Patient/${site.sandbox.patientIdAt(2)}`);
  });

  it('takes folders, and says when a run’s folder is gone', async () => {
    const at = (run: string) => path.join(site.exportFolder, 'default', run);
    expect((await site.run(['diff', at(runs[0]!), at(runs[1]!)])).code).toBe(0);
    await rm(at(runs[0]!), { recursive: true });
    const { code, stderr } = await site.run(['diff', runs[0]!, 'latest']);
    expect(code).toBe(2);
    expect(stderr).toMatch(/RUN_FOLDER_GONE: the folder of run \S+ is gone/);
  });
});
