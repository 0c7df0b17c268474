import type { Config } from '../config/schema.ts';
import { age, byteSize, countOf } from '../report/format.ts';
import { openLedgerForReading } from '../run/ledger.ts';
import type { Clock } from '../system/clock.ts';
import { siteStatus, type SiteStatus } from '../views/siteStatus.ts';
import { loadCommandConfig, type CommandContext } from './context.ts';

/** `status` alone exits as monitoring plugins do. */
const HEALTH = { healthy: 0, warning: 1, critical: 2 } as const;

/**
 * `status`: one verdict for the whole and one for each job, with why and what to do. Reads the ledger and asks the
 * locks; loads no HTTP, mail, log or JOSE library, so that a monitor may call it each minute.
 */
export async function statusCommand(context: CommandContext, clock: Clock): Promise<number> {
  const config = await loadCommandConfig(context, false);
  const ledger = openLedgerForReading(config.jobs[0]!.settings.paths.state_folder);
  try {
    const status = await siteStatus(config, ledger, clock);
    if (context.json) context.print(JSON.stringify(status));
    else for (const line of linesOf(status, config, clock.now())) context.print(line);
    return exitCodeOf(status);
  } finally {
    ledger?.close();
  }
}

function exitCodeOf({ verdict, jobs, outbox }: SiteStatus): number {
  if (verdict === 'failed') return HEALTH.critical;
  const isFine =
    (verdict === 'healthy' || verdict === 'running') &&
    jobs.every(({ warnings }) => warnings.length === 0) &&
    outbox.held === 0;
  return isFine ? HEALTH.healthy : HEALTH.warning;
}

function* linesOf(status: SiteStatus, config: Config, nowMs: number): Generator<string> {
  const { verdict, jobs, outbox, disk } = status;
  if (jobs.length > 1) {
    yield `${verdict.toUpperCase()}. ${status.why}`;
    yield '';
  }
  for (const { job, verdict, why, next, nextRun, warnings } of jobs) {
    const { timezone } = config.jobs.find(({ jobName }) => jobName === job)!.settings.schedule;
    const soon = nextRun === undefined ? '' : ` Next run ${localTime(nextRun, timezone, nowMs)}.`;
    yield `${job}: ${verdict}. ${why}${soon}`;
    if (next !== undefined) yield `  do: ${next}`;
    for (const warning of warnings) yield `${job}: warning. ${warning}`;
  }
  if (outbox.mails > 0) {
    const held = outbox.held === 0 ? '' : `, ${outbox.held} held until the mail settings change`;
    yield `outbox: ${outbox.mails === 1 ? '1 mail waits' : `${outbox.mails} mails wait`} (${outbox.lastCode ?? 'not tried yet'}${held}).`;
  } else yield 'outbox: empty.';
  const runs =
    disk.runsLeft === undefined ? '' : `, room for ${countOf(disk.runsLeft, 'run')} as large as the last`;
  yield `disk: ${byteSize(disk.freeBytes)} free in ${disk.folder}${runs}.`;
}

/** `2026-11-23 02:00 (America/Chicago), in 9 hours` */
function localTime(iso: string, timezone: string, nowMs: number): string {
  const at = Date.parse(iso);
  const text = new Intl.DateTimeFormat('sv-SE', {
    timeZone: timezone,
    dateStyle: 'short',
    timeStyle: 'short',
  }).format(at);
  return `${text} (${timezone}), in ${age(Math.max(0, at - nowMs))}`;
}
