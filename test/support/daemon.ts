import { onTestFinished } from 'vitest';
import { openLedger, type Ledger } from '../../src/run/ledger.ts';
import { until, type RunningCli } from './cli.ts';
import type { Site } from './site.ts';

const HOUR_MS = 3_600_000;

/** A daily schedule (UTC) whose newest slot is an hour or two old, so that none comes while a test runs. */
export function slotAnHourAgo(): string {
  const at = new Date(Date.now() - 1.5 * HOUR_MS);
  return `${at.getUTCMinutes()} ${at.getUTCHours()} * * *`;
}

/** Makes the ledger say that the daemon served the schedule until three days ago. */
export async function slotsMissed(site: Site, cron: string, jobs: readonly string[] = ['default']) {
  await withLedger(site, (ledger) => {
    for (const job of jobs) {
      ledger.schedules.markServed(job, { schedule: `${cron} UTC`, slotMs: Date.now() - 72 * HOUR_MS });
    }
  });
}

export async function withLedger<T>(site: Site, work: (ledger: Ledger) => T | Promise<T>): Promise<T> {
  const ledger = await openLedger(site.stateFolder);
  try {
    return await work(ledger);
  } finally {
    ledger.close();
  }
}

/** A daemon that has said in its log that it serves its schedules; stopped, and seen to end well, with the test. */
export async function startDaemon(site: Site): Promise<RunningCli & { stop(): Promise<void> }> {
  const daemon = await site.start(['daemon']);
  let isOver = false;
  const stop = async (): Promise<void> => {
    if (isOver) return;
    isOver = true;
    daemon.child.kill('SIGTERM');
    const { code, stderr } = await daemon.ended;
    if (code !== 0) throw new Error(`the daemon ended with ${code}:\n${stderr}`);
  };
  onTestFinished(stop);
  await until('the daemon serves', () => {
    if (daemon.child.exitCode !== null) throw new Error(daemon.output.stderr);
    return said(daemon, 'schedule.started');
  });
  return { ...daemon, stop };
}

/** Whether an event stands in the daemon's log. */
export function said({ output }: RunningCli, event: string): boolean {
  return output.stderr.includes(event);
}
