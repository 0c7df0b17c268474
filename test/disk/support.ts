import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { onTestFinished } from 'vitest';
import { LEDGER_FILE, openLedgerForReading } from '../../src/run/ledger.ts';
import type { Site } from '../support/site.ts';

/** Small file systems of their own can be mounted: as root, and where the container allows it. */
export const canMount = probeMount();

function probeMount(): boolean {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return false;
  const probe = path.join('/tmp', `fhir-rounds-mount-${process.pid}`);
  mkdirSync(probe, { recursive: true });
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', probe]).status !== 0) return false;
  spawnSync('umount', [probe]);
  spawnSync('rmdir', [probe]);
  return true;
}

export interface SmallDisk {
  readonly folder: string;
  /** Changes the disk's options: `size=64m`, `ro`. */
  remount(options: string): void;
}

/** A memory disk of `size` at `folder`, gone when the running test ends (and before its site goes). */
export function mountDisk(folder: string, size: string): SmallDisk {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  must('mount', '-t', 'tmpfs', '-o', `size=${size},mode=700`, 'tmpfs', folder);
  onTestFinished(() => void spawnSync('umount', ['-l', folder]));
  return { folder, remount: (options) => must('mount', '-o', `remount,${options}`, folder) };
}

function must(command: string, ...args: readonly string[]): void {
  const { status, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr}`);
}

export interface StatusAnswer {
  readonly jobs: readonly { readonly verdict: string; readonly warnings: readonly string[] }[];
  readonly outbox: { readonly mails: number };
}

export async function statusOf(site: Site): Promise<{ readonly code: number | undefined } & StatusAnswer> {
  const { code, stdout, stderr } = await site.run(['status', '--json']);
  if (!stdout.startsWith('{"verdict"')) throw new Error(stdout + stderr);
  return { code, ...(JSON.parse(stdout) as StatusAnswer) };
}

/** `status` of each run, newest first. */
export function historyOf({ stateFolder }: Site): readonly string[] {
  const ledger = openLedgerForReading(stateFolder)!;
  try {
    return ledger.runs().map(({ status }) => status ?? 'open');
  } finally {
    ledger.close();
  }
}

/** Ledgers that were moved aside. */
export async function movedAside({ stateFolder }: Site): Promise<readonly string[]> {
  const names = await readdir(stateFolder);
  return names.filter((name) => /^ledger\.sqlite\.damaged-\d{8}T\d{6}Z(-\d+)?$/.test(name));
}

export function ledgerFile({ stateFolder }: Site): string {
  return path.join(stateFolder, LEDGER_FILE);
}
