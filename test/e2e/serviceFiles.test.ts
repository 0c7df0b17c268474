import { execFile, execFileSync } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../support/temporaryFolder.ts';

/** The recipes of config/service, by the tools that read them. */

const SERVICE = path.resolve(import.meta.dirname, '..', '..', 'config', 'service');
const run = promisify(execFile);

function isThere(command: string, ...args: readonly string[]): boolean {
  try {
    execFileSync(command, args, { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

describe.skipIf(!isThere('systemd-analyze', '--version'))('the systemd unit', () => {
  const unit = path.join(SERVICE, 'fhir-rounds.service');

  it('is one that systemd takes without a remark', async () => {
    const folder = await temporaryFolder();
    const program = path.join(folder, 'bootstrap.mjs');
    await writeFile(program, '');
    // systemd looks for what is started and what is documented; here they lie elsewhere.
    const text = (await readFile(unit, 'utf8'))
      .replaceAll('/usr/bin/node', process.execPath)
      .replaceAll('/opt/fhir-rounds/src/bootstrap.mjs', program);
    const file = path.join(folder, 'fhir-rounds.service');
    await writeFile(file, text);
    const { stdout, stderr } = await run('systemd-analyze', ['verify', '--man=no', file]);
    expect(stdout + stderr).toBe('');
  });

  it('is hardened: systemd calls its exposure low', async () => {
    const { stdout } = await run('systemd-analyze', ['security', '--offline=true', '--no-pager', unit]);
    const exposure = Number(/Overall exposure level for fhir-rounds\.service: ([\d.]+)/.exec(stdout)?.[1]);
    expect(exposure).toBeLessThanOrEqual(2);
  });
});

describe.skipIf(!isThere('python3', '--version'))('the launchd property list', () => {
  it('is well-formed, and names the daemon', async () => {
    const print = 'import plistlib,json,sys; print(json.dumps(plistlib.load(open(sys.argv[1], "rb"))))';
    const file = path.join(SERVICE, 'org.fhir-rounds.daemon.plist');
    const { stdout } = await run('python3', ['-c', print, file]);
    expect(JSON.parse(stdout)).toMatchObject({
      Label: 'org.fhir-rounds.daemon',
      RunAtLoad: true,
      KeepAlive: { SuccessfulExit: false },
      // 0077
      Umask: 63,
    });
    expect((JSON.parse(stdout) as { ProgramArguments: string[] }).ProgramArguments.slice(1, 3)).toEqual([
      '/opt/fhir-rounds/src/bootstrap.mjs',
      'daemon',
    ]);
  });
});

describe.skipIf(!isThere('pwsh', '-Version'))('the script for the Task Scheduler', () => {
  it('is PowerShell without a syntax error', async () => {
    const file = path.join(SERVICE, 'register-task.ps1');
    const parse =
      '$e = $null; [void][System.Management.Automation.Language.Parser]::ParseFile($args[0], [ref]$null, [ref]$e); $e.Count';
    const { stdout } = await run('pwsh', ['-NoProfile', '-Command', `& { ${parse} }`, file]);
    expect(stdout.trim()).toBe('0');
  });
});
