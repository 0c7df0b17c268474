import { createHash } from 'node:crypto';
import { copyFile, readFile, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { AUDIT_FILE, type AuditEntry } from '../../src/run/audit.ts';
import { verifyAudit, type AuditEvidence } from '../../src/run/auditVerify.ts';
import { LEDGER_FILE, openLedger, type Ledger } from '../../src/run/ledger.ts';
import { START_MS } from '../support/fakeClock.ts';
import { testLedger } from '../support/ledger.ts';
import { rejection, thrown } from '../support/rejection.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const runIdOf = (no: number): string => `20261122T020000Z-${String(no).padStart(4, '0')}`;

function entry(no: number, event: AuditEntry['event'] = 'run.begun'): AuditEntry {
  const runId = runIdOf(no);
  return { event, atMs: START_MS, job: 'default', runId, server: 'fhir.example', clientId: 'client' };
}

const NOBODY: AuditEvidence = { ledger: undefined, witnesses: [], manifests: new Map() };

interface Trail {
  readonly folder: string;
  readonly file: string;
  readonly ledger: Ledger;
  readonly lines: () => Promise<readonly string[]>;
  readonly write: (lines: readonly string[], tail?: string) => Promise<void>;
  /** What `verify --audit` finds with the ledger beside it. */
  readonly damage: () => readonly string[];
}

/** A state folder with so many audit lines. */
async function trailOf(count: number): Promise<Trail> {
  const folder = await temporaryFolder();
  const file = path.join(folder, AUDIT_FILE);
  const ledger = await testLedger(folder);
  for (let no = 1; no <= count; no++) ledger.audit.append(entry(no));
  return {
    folder,
    file,
    ledger,
    lines: async () => (await readFile(file, 'utf8')).split('\n').slice(0, -1),
    write: (lines, tail = '') => writeFile(file, lines.map((line) => `${line}\n`).join('') + tail),
    damage: () => verifyAudit(file, { ...NOBODY, ledger: ledger.audit.head() }).damage,
  };
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

describe('the audit file', () => {
  it('is a chain: each line has its number and the sha256 of the line before', async () => {
    const { lines, ledger, file, damage } = await trailOf(3);
    const texts = await lines();
    const links = texts.map((text) => JSON.parse(text) as { seq: number; previous: string });
    expect(links.map(({ seq }) => seq)).toEqual([1, 2, 3]);
    expect(links.map(({ previous }) => previous)).toEqual([
      '0'.repeat(64),
      sha256(texts[0]!),
      sha256(texts[1]!),
    ]);
    expect(ledger.audit.head()).toEqual({ seq: 3, sha256: sha256(texts[2]!) });
    expect(damage()).toEqual([]);
    if (process.platform !== 'win32') expect((await stat(file)).mode & 0o777).toBe(0o600);
  });

  it('has what belongs to no run as often as it happens, and what a run does once', async () => {
    const { ledger, lines, damage, file } = await trailOf(1);
    const token: AuditEntry = { ...entry(0, 'token.handed-out'), runId: undefined };
    expect([1, 2].map(() => ledger.audit.append(token).seq)).toEqual([2, 3]);
    expect([1, 2].map(() => ledger.audit.append(entry(1, 'ids.shown')).seq)).toEqual([4, 5]);
    expect(ledger.audit.append(entry(1)).seq).toBe(1);
    expect(JSON.parse((await lines())[1]!)).not.toHaveProperty('runId');
    expect(damage()).toEqual([]);
    await writeFile(file, (await readFile(file, 'utf8')).replace('token.handed-out', 'token.handed-0ut'));
    expect(damage()[0]).toContain('line 3 does not follow line 2');
  });

  it('says who, what, when, where and how much', async () => {
    const { ledger, lines } = await trailOf(0);
    ledger.audit.append({
      ...entry(1, 'run.published'),
      status: 'complete',
      patients: 7,
      records: 120,
      bytes: 4096,
      manifestSha256: 'a'.repeat(64),
    });
    expect(JSON.parse((await lines())[0]!)).toEqual({
      seq: 1,
      at: '2026-11-22T02:00:00.000Z',
      event: 'run.published',
      user: expect.stringMatching(/./),
      host: expect.stringMatching(/./),
      pid: process.pid,
      job: 'default',
      runId: runIdOf(1),
      server: 'fhir.example',
      clientId: 'client',
      status: 'complete',
      patients: 7,
      records: 120,
      bytes: 4096,
      manifestSha256: 'a'.repeat(64),
      previous: '0'.repeat(64),
    });
  });

  it('has an event of a run once, however often it is told', async () => {
    const { ledger, lines } = await trailOf(2);
    const again = ledger.audit.append(entry(1));
    expect(again).toEqual({ seq: 1, sha256: sha256((await lines())[0]!), foundDamage: false });
    expect(ledger.audit.append(entry(1, 'run.failed')).seq).toBe(3);
    expect(await lines()).toHaveLength(3);
  });

  it('is one chain for two processes that write at once', async () => {
    const { folder, ledger, lines, damage } = await trailOf(0);
    const other = await openLedger(folder);
    for (let no = 1; no <= 10; no++) (no % 2 === 0 ? other : ledger).audit.append(entry(no));
    other.close();
    expect(await lines()).toHaveLength(10);
    expect(damage()).toEqual([]);
  });
});

describe('after a crash', () => {
  it('takes over a line that the ledger did not come to know, and does not write it again', async () => {
    const { folder, file, ledger, lines } = await trailOf(2);
    ledger.close();
    await copyFile(path.join(folder, LEDGER_FILE), path.join(folder, 'before'));
    const later = await openLedger(folder);
    later.audit.append(entry(3));
    later.close();
    // The ledger as it was between the line and the commit that names it.
    for (const suffix of ['', '-wal', '-shm'])
      await rm(path.join(folder, LEDGER_FILE + suffix), { force: true });
    await copyFile(path.join(folder, 'before'), path.join(folder, LEDGER_FILE));
    const after = await testLedger(folder);
    expect(verifyAudit(file, { ...NOBODY, ledger: after.audit.head() }).damage).toEqual([]);
    expect(after.audit.has('run.begun', runIdOf(3))).toBe(true);
    expect(after.audit.append(entry(3))).toMatchObject({ seq: 3, foundDamage: false });
    expect(after.audit.append(entry(4))).toMatchObject({ seq: 4, foundDamage: false });
    expect(await lines()).toHaveLength(4);
    expect(verifyAudit(file, { ...NOBODY, ledger: after.audit.head() }).damage).toEqual([]);
  });

  it('drops half a line, which is no damage', async () => {
    const { file, ledger, lines, write, damage } = await trailOf(2);
    await write(await lines(), '{"seq":3,"at":"2026-11-2');
    const result = verifyAudit(file, { ...NOBODY, ledger: ledger.audit.head() });
    expect(result).toMatchObject({ lines: 2, damage: [] });
    expect(result.notes).toEqual([expect.stringContaining('line 3')]);
    expect(ledger.audit.append(entry(3))).toMatchObject({ seq: 3, foundDamage: false });
    expect(await lines()).toHaveLength(3);
    expect(damage()).toEqual([]);
  });

  it('takes the whole file over into a ledger that was made anew', async () => {
    const { folder, file, ledger, lines } = await trailOf(3);
    ledger.close();
    for (const suffix of ['', '-wal', '-shm'])
      await rm(path.join(folder, LEDGER_FILE + suffix), { force: true });
    const anew = await testLedger(folder);
    expect(anew.audit.append(entry(4))).toMatchObject({ seq: 4, foundDamage: false });
    expect(anew.audit.has('run.begun', runIdOf(2))).toBe(true);
    expect(await lines()).toHaveLength(4);
    expect(verifyAudit(file, { ...NOBODY, ledger: anew.audit.head() }).damage).toEqual([]);
  });
});

type Change = (lines: readonly string[]) => readonly string[];
const CHANGES: readonly (readonly [name: string, firstBad: string, change: Change])[] = [
  [
    'changed in the middle',
    'line 3 does not follow line 2',
    (l) => l.map((t, i) => (i === 1 ? t.replace('client', 'CLIENT') : t)),
  ],
  [
    'changed at its head',
    'line 2 does not follow line 1',
    (l) => l.map((t, i) => (i === 0 ? t.replace('client', 'CLIENT') : t)),
  ],
  [
    'changed at its end',
    'line 5 is not the one the ledger knows',
    (l) => l.map((t, i) => (i === 4 ? t.replace('client', 'CLIENT') : t)),
  ],
  ['removed in the middle', 'line 3 does not follow line 2', (l) => l.filter((_, i) => i !== 2)],
  ['removed at its head', 'line 1 is not the first', (l) => l.slice(1)],
  ['added in the middle', 'line 3 does not follow line 2', (l) => [...l.slice(0, 2), l[1]!, ...l.slice(2)]],
  ['added at its end', 'line 6 does not follow line 5', (l) => [...l, l[4]!]],
  ['cut', 'line 4 is missing: the ledger knows 5 lines', (l) => l.slice(0, 3)],
  ['emptied', 'line 1 is missing', () => []],
  ['put into another order', 'line 2 does not follow line 1', (l) => [l[0]!, l[2]!, l[1]!, l[3]!, l[4]!]],
  ['spoiled', 'line 2 does not follow line 1', (l) => l.map((t, i) => (i === 1 ? 'null' : t))],
];

describe('verifyAudit', () => {
  it.each(CHANGES)('sees a file that was %s, and names the line', async (_name, firstBad, change) => {
    const { lines, write, damage } = await trailOf(5);
    await write(change(await lines()));
    expect(damage()[0]).toContain(firstBad);
  });

  it('sees a whole chain that was made anew, by the ledger and by a manifest', async () => {
    const { file, ledger, lines } = await trailOf(3);
    const forged = await trailOf(0);
    for (let no = 1; no <= 3; no++) forged.ledger.audit.append({ ...entry(no), clientId: 'another' });
    const [, second] = await lines();
    await copyFile(forged.file, file);
    expect(verifyAudit(file, NOBODY).damage).toEqual([]);
    expect(verifyAudit(file, { ...NOBODY, ledger: ledger.audit.head() }).damage).toEqual([
      'line 3 is not the one the ledger knows',
    ]);
    const witness = { seq: 2, sha256: sha256(second!), name: 'the manifest of run X' };
    expect(verifyAudit(file, { ...NOBODY, witnesses: [witness] }).damage).toEqual([
      'line 2 is not the one the manifest of run X knows',
    ]);
  });

  it('sees an end that was cut by who could change the ledger as well: a manifest knows more lines', async () => {
    const { file, lines, write } = await trailOf(4);
    const texts = await lines();
    await write(texts.slice(0, 2));
    const witness = { seq: 4, sha256: sha256(texts[3]!), name: 'the manifest of run X' };
    expect(verifyAudit(file, { ...NOBODY, witnesses: [witness] }).damage).toEqual([
      'line 3 is missing: the manifest of run X knows 4 lines',
    ]);
  });

  it('sees well-formed lines that the ledger never wrote', async () => {
    const { file, ledger } = await trailOf(2);
    const known = ledger.audit.head();
    for (const no of [3, 4]) ledger.audit.append(entry(no));
    expect(verifyAudit(file, { ...NOBODY, ledger: known }).damage[0]).toContain('line 3 and those after it');
  });

  it('sees a manifest that is not the one that was published', async () => {
    const { file, ledger } = await trailOf(1);
    ledger.audit.append({ ...entry(1, 'run.published'), manifestSha256: 'a'.repeat(64) });
    const published = (hash: string) => ({ ...NOBODY, manifests: new Map([[runIdOf(1), hash]]) });
    expect(verifyAudit(file, published('a'.repeat(64))).damage).toEqual([]);
    expect(verifyAudit(file, published('b'.repeat(64))).damage[0]).toContain('line 2: the manifest of run');
  });

  it('sees a file that is gone', async () => {
    const { file, ledger } = await trailOf(1);
    await rm(file);
    const error = thrown(() => verifyAudit(file, { ...NOBODY, ledger: ledger.audit.head() }));
    expect(error.code).toBe('VERIFY_DAMAGED');
  });
});

describe('a file that somebody changed', () => {
  it.each(CHANGES.filter(([name]) => /end|cut|emptied/.test(name)))(
    'that was %s: goes on behind it, tells of it, and the damage stays to be seen',
    async (_name, firstBad, change) => {
      const { ledger, lines, write, damage } = await trailOf(5);
      await write(change(await lines()));
      expect(ledger.audit.append(entry(6))).toMatchObject({ seq: 6, foundDamage: true });
      // The end of the same run is told of it as well, the next run is not.
      expect(ledger.audit.append(entry(6, 'run.failed'))).toMatchObject({ seq: 7, foundDamage: true });
      expect(ledger.audit.append(entry(7))).toMatchObject({ seq: 8, foundDamage: false });
      expect(JSON.parse((await lines()).at(-1)!)).toMatchObject({ seq: 8, runId: runIdOf(7) });
      expect(damage().join()).toContain(/line \d/.exec(firstBad)![0].slice(0, 5));
    },
  );

  it('is started anew behind the lines that are known', async () => {
    const { file, ledger, damage } = await trailOf(2);
    await rm(file);
    expect(ledger.audit.append(entry(3))).toMatchObject({ seq: 3, foundDamage: true });
    expect(damage()[0]).toContain('line 1 is not the first of an audit file');
  });

  it.runIf(process.platform !== 'win32')('is not followed where it is a link', async () => {
    const { file, folder, ledger } = await trailOf(0);
    const target = path.join(folder, 'elsewhere');
    const { symlink } = await import('node:fs/promises');
    await writeFile(target, '');
    await symlink(target, file);
    const error = await rejection(Promise.resolve().then(() => ledger.audit.append(entry(1))));
    expect(error.code).toBe('PATH_UNUSABLE');
    expect(await readFile(target, 'utf8')).toBe('');
  });
});
