import { createHash } from 'node:crypto';
import { readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { newestRun } from '../support/publishedRun.ts';
import { siteForTest, type Site } from '../support/site.ts';

interface AuditLine {
  readonly seq: number;
  readonly event: string;
  readonly runId: string;
  readonly status?: string;
  readonly patients?: number;
  readonly records?: number;
  readonly manifestSha256?: string;
}

const auditFile = ({ stateFolder }: Site): string => path.join(stateFolder, 'audit.ndjson');
const sha256 = (content: string | Buffer): string => createHash('sha256').update(content).digest('hex');

async function textsOf(site: Site): Promise<readonly string[]> {
  return (await readFile(auditFile(site), 'utf8')).split('\n').slice(0, -1);
}

async function linesOf(site: Site): Promise<readonly AuditLine[]> {
  return (await textsOf(site)).map((text) => JSON.parse(text) as AuditLine);
}

/** A text without the breaks that quoted-printable and the report's columns put into it. */
const unbroken = (text: string): string => text.replace(/=\r?\n/g, '').replace(/\s+/g, ' ');

describe('the audit of runs', () => {
  it('has a line before the first request and one with the manifest’s hash; manifest, report and mail name their place', async () => {
    const site = await siteForTest({ sandbox: { patients: 3 }, resources: ['Patient'] });
    expect((await site.run(['run'])).code).toBe(0);
    const published = await newestRun(site);
    const { manifest, folder, runId } = published;
    const lines = await linesOf(site);
    expect(lines.map(({ event }) => event)).toEqual(['run.begun', 'run.published']);
    expect(lines[0]).toMatchObject({
      job: 'default',
      runId,
      server: new URL(site.sandbox.origin).host,
      clientId: 'e2e-client',
    });
    expect(lines[1]).toMatchObject({
      runId,
      status: 'complete',
      patients: 3,
      records: 3,
      manifestSha256: sha256(await readFile(path.join(folder, 'manifest.json'))),
    });
    const [begun, end] = await textsOf(site);
    expect(manifest.extension.audit).toEqual({ seq: 1, sha256: sha256(begun!) });
    expect(unbroken(await published.text('report.txt'))).toContain(`Audit line 1: sha256 ${sha256(begun!)}`);
    expect(unbroken(site.sandbox.smtp!.mails[0]!.raw)).toContain(`Audit line 2: sha256 ${sha256(end!)}`);
    for (let ordinal = 0; ordinal < 3; ordinal++) {
      expect(lines.map((line) => JSON.stringify(line)).join()).not.toContain(
        site.sandbox.patientIdAt(ordinal)!,
      );
    }

    const bySite = await site.run(['verify', '--audit']);
    expect(bySite.stdout).toContain('2 lines, none changed, removed, added or cut');
    expect(bySite.code).toBe(0);
    await rm(site.configFile);
    expect((await site.run(['verify', '--audit', site.stateFolder])).code).toBe(0);
    expect((await site.run(['verify', '--audit', auditFile(site)])).code).toBe(0);
  });

  it('verify --audit exits 4 and names the line: changed, cut, and a manifest written anew', async () => {
    const site = await siteForTest({ sandbox: { patients: 2 }, resources: ['Patient'], mail: false });
    expect((await site.run(['run'])).code).toBe(0);
    expect((await site.run(['run'])).code).toBe(0);
    const whole = await readFile(auditFile(site), 'utf8');

    await writeFile(auditFile(site), whole.replace('"records":2', '"records":1'));
    const changed = await site.run(['verify', '--audit']);
    expect(changed).toMatchObject({ code: 4 });
    expect(changed.stdout).toContain('line 3 does not follow line 2');

    // With the ledger gone as well, the second run's manifest still knows that there were three lines.
    const texts = whole.split('\n');
    await writeFile(auditFile(site), `${texts[0]}\n`);
    const copied = site.path('copied');
    await writeFile(copied, `${texts[0]}\n`);
    const cut = await site.run(['verify', '--audit', '--json']);
    expect(cut.code).toBe(4);
    expect((JSON.parse(cut.stdout) as { damage: string[] }).damage[0]).toContain('line 2 is missing');
    expect((await site.run(['verify', '--audit', copied])).code).toBe(0);
    for (const suffix of ['', '-wal', '-shm'])
      await rm(site.path('state', `ledger.sqlite${suffix}`), { force: true });
    const { runId, folder } = await newestRun(site);
    const withoutLedger = await site.run(['verify', '--audit']);
    expect(withoutLedger.code).toBe(4);
    expect(withoutLedger.stdout).toContain(`line 2 is missing: the manifest of run ${runId} knows 3 lines`);

    await writeFile(auditFile(site), whole);
    expect((await site.run(['verify', '--audit'])).code).toBe(0);
    const manifest = path.join(folder, 'manifest.json');
    await writeFile(manifest, (await readFile(manifest, 'utf8')).replace('"complete"', '"partial"'));
    const forged = await site.run(['verify', '--audit']);
    expect(forged.code).toBe(4);
    expect(forged.stdout).toContain(`line 4: the manifest of run ${runId}`);
  });

  it('has a line for each token that `token` hands out, and none for one that was refused', async () => {
    const site = await siteForTest({ sandbox: { patients: 1 }, resources: ['Patient'], mail: false });
    const printed = await site.run(['token']);
    expect(printed.code, printed.stderr).toBe(0);
    expect((await site.run(['token', '--out', site.path('token')])).code).toBe(0);
    await site.configure({ 'oauth_settings.client_id': 'nobody' });
    expect((await site.run(['token'])).code).not.toBe(0);
    const [line, ...others] = await linesOf(site);
    expect(line).toMatchObject({ seq: 1, event: 'token.handed-out', job: 'default', clientId: 'e2e-client' });
    expect(others.map(({ event }) => event)).toEqual(['token.handed-out']);
    expect((await textsOf(site)).join()).not.toContain(printed.stdout.trim().slice(0, 20));
    expect((await site.run(['verify', '--audit'])).code).toBe(0);
  });

  it('tells in the report of the next run that the file was changed, and does not stop for it', async () => {
    const site = await siteForTest({ sandbox: { patients: 2 }, resources: ['Patient'] });
    expect((await site.run(['run'])).code).toBe(0);
    await writeFile(auditFile(site), '');
    expect((await site.run(['run'])).code).toBe(0);
    expect(unbroken(site.sandbox.smtp!.mails[1]!.raw)).toContain('The audit file is not as it was written');
    expect((await linesOf(site)).map(({ seq }) => seq)).toEqual([3, 4]);
    expect((await site.run(['verify', '--audit'])).code).toBe(4);
  });

  it('has one begin and one end of a run that was killed and went on, and an end for each that failed', async () => {
    const site = await siteForTest({
      sandbox: { patients: 4, latencyMs: 20 },
      resources: ['Patient', 'Condition', 'Encounter'],
      mail: false,
    });
    const killed = await site.stopWhen(() => site.sandbox.counts().total > 8, 'SIGKILL', ['run']);
    expect(killed.signal).toBe('SIGKILL');
    expect((await site.run(['verify', '--audit'])).code).toBe(0);
    expect((await site.run(['run'])).code).toBe(0);
    await site.configure({ 'oauth_settings.client_id': 'nobody' });
    expect((await site.run(['run'])).code).toBe(1);
    await site.configure({});
    await site.stopWhen(async () => (await linesOf(site)).length > 4, 'SIGKILL', ['run']);
    expect((await site.run(['run', '--fresh'])).code).toBe(0);
    const lines = await linesOf(site);
    const ofRuns = grouped(lines);
    expect([...ofRuns.values()].map((own) => own.map(({ event }) => event).join(' '))).toEqual([
      'run.begun run.published',
      'run.begun run.failed',
      'run.begun run.abandoned',
      'run.begun run.published',
    ]);
    expect((await site.run(['verify', '--audit'])).code).toBe(0);
  });
});

function grouped(lines: readonly AuditLine[]): Map<string, AuditLine[]> {
  const groups = new Map<string, AuditLine[]>();
  for (const line of lines) groups.set(line.runId, [...(groups.get(line.runId) ?? []), line]);
  return groups;
}
