import { spawnSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ALL_COMMANDS } from '../../src/cli/allCommands.ts';
import { newestRun } from '../support/publishedRun.ts';
import { runCli } from '../support/cli.ts';
import { makeSite, type Site } from '../support/site.ts';

describe('completion', () => {
  let site: Site;
  beforeAll(async () => {
    site = await makeSite({
      sandbox: { patients: 1, smtp: false },
      mail: false,
      settings: { '[job nightly] method': 'crawl', '[job weekly] method': 'crawl' },
    });
    expect((await site.run(['run', 'nightly'])).code).toBe(0);
  });
  afterAll(() => site.close());

  const words = async (...typed: readonly string[]): Promise<readonly string[]> => {
    const { code, stdout } = await runCli([
      'completion',
      'words',
      '--config',
      site.configFile,
      '--',
      ...typed,
    ]);
    expect(code).toBe(0);
    return stdout.split('\n').filter(Boolean);
  };

  it('offers commands, groups, options, choices and codes', async () => {
    expect(await words('')).toEqual([...new Set(ALL_COMMANDS.map(({ name }) => name.split(' ')[0]))]);
    expect(await words('keys', 'r')).toEqual(['rotate']);
    expect(await words('run', '--re')).toEqual(['--retry-failed']);
    expect(await words('sandbox', '--dialect', '')).toEqual(['epic', 'us-core']);
    expect(await words('explain', 'LOCK')).toEqual(['LOCK_HELD']);
  });

  it('offers jobs and runs of the site, and nothing where there is none', async () => {
    const { runId } = await newestRun(site, 'nightly');
    expect(await words('run', '')).toEqual(['nightly', 'weekly']);
    expect(await words('show', '--job', 'w')).toEqual(['weekly']);
    expect(await words('diff', 'latest', '')).toEqual(['latest', 'current', runId]);
    const nowhere = await runCli(['completion', 'words', '--config', '/nowhere.ini', '--', 'run', '']);
    expect(nowhere).toMatchObject({ code: 0, stdout: '', stderr: '' });
  });

  it.each(['bash', 'zsh', 'fish'])('%s takes the script', async (shell) => {
    const { code, stdout } = await runCli(['completion', shell]);
    expect(code).toBe(0);
    const parsed = spawnSync(shell, ['-n'], { input: stdout, encoding: 'utf8' });
    if (parsed.error === undefined) expect(parsed.stderr).toBe('');
    expect(stdout).toContain('completion words');
  });

  it('knows no other shell', async () => {
    expect((await runCli(['completion', 'csh'])).code).toBe(2);
  });
});

describe('help', () => {
  it.each(ALL_COMMANDS)('$name has an example that the command line takes', async ({ name, examples }) => {
    expect(examples.length).toBeGreaterThan(0);
    for (const line of examples) expect(`${line} `.startsWith(`${name} `), line).toBe(true);
  });
});
