import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Ledger } from '../../src/run/ledger.ts';
import { RunLock } from '../../src/run/lock.ts';
import { createFakeClock, settle } from '../support/fakeClock.ts';
import { testLedger } from '../support/ledger.ts';
import { rejection } from '../support/rejection.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const clock = createFakeClock({ auto: true });
const HOLDER = path.join(import.meta.dirname, '../support/lockHolder.mjs');

async function withLedger(): Promise<{ stateFolder: string; ledger: Ledger }> {
  const stateFolder = await temporaryFolder();
  return { stateFolder, ledger: await testLedger(stateFolder) };
}

function take(
  { stateFolder, ledger }: { stateFolder: string; ledger: Ledger },
  name = 'job default',
  runId?: string,
) {
  return RunLock.take({
    stateFolder,
    ledger,
    clock,
    name,
    command: 'fhir-rounds run',
    ...(runId ? { runId } : {}),
  });
}

/** Another process that wants the lock on a file: what it says of it, and itself. */
async function holderProcess(lockFile: string): Promise<{ said: string; child: ChildProcess }> {
  const child = spawn(process.execPath, [HOLDER, lockFile], { stdio: ['pipe', 'pipe', 'inherit'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  const [said] = (await once(child.stdout, 'data')) as [Buffer];
  return { said: said.toString().trim(), child };
}

describe('RunLock', () => {
  it('refuses a second holder and names the first', async () => {
    const place = await withLedger();
    const lock = await take(place, 'job default', '20261122T020000Z-3f2a');
    const refusal = await rejection(take(place));
    expect(refusal).toMatchObject({ code: 'LOCK_HELD', failure: 'transient' });
    expect(refusal.message).toContain('job default is held by `fhir-rounds run`');
    expect(refusal.message).toContain(`process ${process.pid}`);
    expect(refusal.message).toContain('run 20261122T020000Z-3f2a');
    expect(refusal.message).toContain('since 2026-11-22T02:00:00.000Z');
    lock.close();
    (await take(place)).close();
  });

  it('keeps jobs and servers apart', async () => {
    const place = await withLedger();
    const names = [
      'job default',
      'job other',
      'server https://fhir.example:8443',
      'server https://fhir.example',
    ];
    const locks = [];
    for (const name of names) locks.push(await take(place, name));
    for (const lock of locks) lock.close();
    expect(names.map((name) => place.ledger.holders.find(name))).toEqual(names.map(() => undefined));
  });

  it('is held over processes, and free at once when its holder is killed', async () => {
    const place = await withLedger();
    const lockFile = path.join(place.stateFolder, 'locks', 'job_default.lock');
    await mkdir(path.dirname(lockFile), { recursive: true });
    const { said, child } = await holderProcess(lockFile);
    expect(said).toBe('held');
    expect((await rejection(take(place))).message).toBe('another process holds job default');
    child.kill('SIGKILL');
    await once(child, 'exit');
    const lock = await take(place);
    expect((await holderProcess(lockFile)).said).toBe('busy');
    lock.close();
    expect((await holderProcess(lockFile)).said).toBe('held');
  });

  it('is free again though its ledger cannot be written any more', async () => {
    const place = await withLedger();
    const other = { ...place, ledger: await testLedger(await temporaryFolder()) };
    const broken = await testLedger(await temporaryFolder());
    const lock = await take({ ...place, ledger: broken });
    broken.close();
    expect(() => lock.close()).toThrow();
    (await take(other)).close();
    // Nor does one stay behind that could not be noted.
    await expect(take({ ...place, ledger: broken })).rejects.toThrow();
    (await take(other)).close();
  });

  it('outlives garbage collections while it is referenced', async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const place = await withLedger();
    const lock = await take(place);
    for (let round = 0; round < 5; round++) {
      collect();
      await settle();
    }
    const lockFile = path.join(place.stateFolder, 'locks', 'job_default.lock');
    expect((await holderProcess(lockFile)).said).toBe('busy');
    lock.close();
  });

  it('says what is wrong when its folder cannot be made', async () => {
    const place = await withLedger();
    await rm(path.join(place.stateFolder, 'locks'), { recursive: true, force: true });
    await expect(take({ ...place, stateFolder: path.join(HOLDER, 'below-a-file') })).rejects.toThrow();
  });
});
