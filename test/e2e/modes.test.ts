import { lstat, readdir } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { runCli } from '../support/cli.ts';
import { newestRun } from '../support/publishedRun.ts';
import { siteForTest, type Site } from '../support/site.ts';

const isPosix = process.platform !== 'win32';
const TYPES = ['Patient', 'Condition', 'Practitioner'];

/** Mode of everything below a folder (itself included), without links. */
async function modesBelow(folder: string): Promise<ReadonlyMap<string, { mode: string; isFolder: boolean }>> {
  const modes = new Map<string, { mode: string; isFolder: boolean }>();
  const names = ['', ...(await readdir(folder, { recursive: true }))];
  for (const name of names) {
    const found = await lstat(path.join(folder, name));
    if (found.isSymbolicLink()) continue;
    modes.set(name, { mode: (found.mode & 0o7777).toString(8), isFolder: found.isDirectory() });
  }
  return modes;
}

/** A site whose run had a gap, a failed search, a mail and a second run. */
async function busySite(mode: 'private' | 'group'): Promise<Site> {
  const site = await siteForTest({
    sandbox: { patients: 3 },
    resources: TYPES,
    settings: { 'paths.export_mode': mode, 'api_settings.max_attempts': 1 },
  });
  site.sandbox.setFaults([
    { match: { type: 'Condition', patient: 0, endpoint: 'search' }, then: { status: 500 } },
    { match: { type: 'Condition', patient: 1, endpoint: 'search' }, then: { status: 403, outcome: '4130' } },
  ]);
  return site;
}

/** Runs under a umask that would leave everything open to everybody. */
async function runOpenly(site: Site, args: readonly string[]): Promise<number | undefined> {
  const before = process.umask(0);
  try {
    return (await runCli([...args, '--config', site.configFile], { cwd: site.folder })).code;
  } finally {
    process.umask(before);
  }
}

describe.runIf(isPosix)('what a run leaves on the disk', () => {
  it('is its owner’s alone, whatever the umask', async () => {
    const site = await busySite('private');
    expect(await runOpenly(site, ['run'])).toBe(3);
    site.sandbox.setFaults([]);
    expect(await runOpenly(site, ['run', '--retry-failed'])).toBe(0);
    for (const folder of [site.exportFolder, site.stateFolder, site.logFolder]) {
      const modes = await modesBelow(folder);
      expect(modes.size).toBeGreaterThan(1);
      for (const [name, { mode, isFolder }] of modes) {
        expect(`${path.join(folder, name)} ${mode}`).toBe(
          `${path.join(folder, name)} ${isFolder ? '700' : '600'}`,
        );
      }
    }
  });

  it('may be read by the group in export_mode = group: what is published, and nothing else', async () => {
    const site = await busySite('group');
    expect(await runOpenly(site, ['run'])).toBe(3);
    site.sandbox.setFaults([]);
    expect(await runOpenly(site, ['run'])).toBe(0);
    const published = await newestRun(site);
    expect(published.files).toContain('Practitioner.ndjson');
    for (const [name, { mode, isFolder }] of await modesBelow(site.exportFolder)) {
      if (name.includes('.staging')) continue;
      expect(`${name} ${mode}`).toBe(`${name} ${isFolder ? '750' : '640'}`);
    }
    for (const folder of [site.stateFolder, site.logFolder]) {
      for (const [name, { mode }] of await modesBelow(folder)) expect(`${name} ${mode}`).toMatch(/ [67]00$/);
    }
  });
});
