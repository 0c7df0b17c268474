import { openLedgerForReading, type Ledger } from '../run/ledger.ts';
import type { RunRow } from '../run/ledgerRows.ts';
import { isLockHeld } from '../run/lock.ts';
import type { Config, JobConfig } from '../config/schema.ts';
import { RoundsError } from '../errors.ts';
import { isoInstant, type Clock } from '../system/clock.ts';
import { loadCommandConfig, type CommandContext } from './context.ts';

/** `status` alone exits as monitoring plugins do. */
const HEALTH = { healthy: 0, warning: 1, critical: 2 } as const;

interface JobStatus {
  readonly job: string;
  readonly verdict: 'healthy' | 'running' | 'interrupted' | 'partial' | 'failed' | 'never run';
  readonly why: string;
  readonly lastRun: string | undefined;
  readonly nextRun: string | undefined;
}

/** `status`: a verdict for each job. */
export async function statusCommand(context: CommandContext, clock: Clock): Promise<number> {
  const config = await loadCommandConfig(context, false);
  return withLedger(config, async (ledger) => {
    const jobs = [];
    for (const job of config.jobs) jobs.push(await statusWithIncidents(job, ledger, clock));
    const waiting = ledger?.outbox.waiting() ?? { mails: 0, held: 0, lastCode: undefined };
    if (context.json) context.print(JSON.stringify({ jobs, outbox: waiting }));
    else {
      for (const { job, verdict, why, nextRun, warnings } of jobs) {
        context.print(`${job}: ${verdict}. ${why}${nextRun ? ` Next run ${nextRun}.` : ''}`);
        for (const warning of warnings) context.print(`${job}: warning. ${warning}`);
      }
      if (waiting.mails > 0) {
        context.print(`outbox: ${waiting.mails} mails wait (${waiting.lastCode ?? 'not tried yet'}).`);
      }
    }
    const verdicts = jobs.map((job) => job.verdict);
    if (verdicts.includes('failed')) return HEALTH.critical;
    const isFine =
      verdicts.every((verdict) => verdict === 'healthy' || verdict === 'running') &&
      jobs.every(({ warnings }) => warnings.length === 0) &&
      waiting.held === 0;
    return isFine ? HEALTH.healthy : HEALTH.warning;
  });
}

interface JobStatusWithWarnings extends JobStatus {
  /** What befell the ledger or the disk since the last complete run. */
  readonly warnings: readonly string[];
}

async function statusWithIncidents(
  job: JobConfig,
  ledger: Ledger | undefined,
  clock: Clock,
): Promise<JobStatusWithWarnings> {
  const incidents = ledger?.incidents.open(job.jobName) ?? [];
  return { ...(await statusOf(job, ledger, clock)), warnings: incidents.map(({ text }) => text) };
}

async function statusOf(job: JobConfig, ledger: Ledger | undefined, clock: Clock): Promise<JobStatus> {
  const { schedule } = job.settings;
  const [last] = ledger?.runs({ jobName: job.jobName, limit: 1 }) ?? [];
  const holder = ledger?.holders.find(`job ${job.jobName}`);
  const next = schedule.cron === undefined ? undefined : await nextSlot(schedule.cron, schedule.timezone);
  const shared = { job: job.jobName, lastRun: last?.runId, nextRun: next };
  if (last === undefined) return { ...shared, verdict: 'never run', why: 'No run is recorded.' };
  if (last.state === 'open') {
    if (isLockHeld(job.settings.paths.state_folder, `job ${job.jobName}`)) {
      return {
        ...shared,
        verdict: 'running',
        why: `Run ${last.runId}${holder ? `, by process ${holder.pid} on ${holder.host}` : ''}.`,
      };
    }
    return {
      ...shared,
      verdict: 'interrupted',
      why: `Run ${last.runId} stopped half way; the next run goes on with it.`,
    };
  }
  const { summary } = last;
  // A clock that was set back makes no run end in the future.
  const age = Math.max(0, Math.round((clock.now() - (last.finishedAtMs ?? last.startedAtMs)) / 3_600_000));
  const when = `${age} h ago`;
  if (last.status === 'complete') {
    return {
      ...shared,
      verdict: 'healthy',
      why: `Run ${last.runId}, ${when}: ${summary?.records ?? 0} resources.`,
    };
  }
  if (last.status === 'partial') {
    const failed = summary?.searches.failed ?? 0;
    return {
      ...shared,
      verdict: 'partial',
      why: `Run ${last.runId}, ${when}: ${failed} searches failed; \`fhir-rounds run ${job.jobName} --retry-failed\` asks them again.`,
    };
  }
  return {
    ...shared,
    verdict: 'failed',
    why: `Run ${last.runId}, ${when}: ${summary?.failure?.code ?? 'failed'}. ${summary?.failure?.hint ?? ''}`.trimEnd(),
  };
}

async function nextSlot(cron: string, timezone: string): Promise<string | undefined> {
  const { nextRunAt } = await import('../schedule/cronSchedule.ts');
  const at = nextRunAt(cron, timezone);
  return at === undefined ? undefined : isoInstant(at);
}

/** `runs`: the history, newest first. */
export async function runsCommand(
  jobName: string | undefined,
  limit: number,
  context: CommandContext,
): Promise<number> {
  const config = await loadCommandConfig(context, false);
  return withLedger(config, async (ledger) => {
    const runs = ledger?.runs({ ...(jobName === undefined ? {} : { jobName }), limit }) ?? [];
    if (context.json) context.print(JSON.stringify(runs.map(({ runNo: _runNo, ...run }) => run)));
    else if (runs.length === 0) context.print('No run is recorded.');
    else for (const run of runs) context.print(lineOf(run));
    return 0;
  });
}

function lineOf(run: RunRow): string {
  const { summary } = run;
  const verdict = run.status ?? 'open';
  const counts = summary
    ? `${summary.records} resources, ${summary.searches.gap} gaps, ${summary.searches.failed} failed, ${Math.round(summary.durationMs / 1000)} s`
    : 'not closed';
  return `${run.runId}  ${run.jobName}  ${verdict.padEnd(9)}  ${counts}`;
}

/** `show RUN`: one run's counts, gaps and failures by cause and roster line. */
export async function showCommand(runId: string, context: CommandContext): Promise<number> {
  const config = await loadCommandConfig(context, false);
  return withLedger(config, async (ledger) => {
    const run = ledger?.findRun(runId);
    if (run === undefined) throw new RoundsError('RUN_UNKNOWN', `there is no run ${runId}`);
    if (context.json) {
      const { runNo: _runNo, ...row } = run;
      context.print(JSON.stringify(row));
    } else if (run.summary) {
      const { renderReport } = await import('../report/render.ts');
      const timezone =
        config.jobs.find((job) => job.jobName === run.jobName)?.settings.schedule.timezone ?? 'UTC';
      context.print(renderReport(run.summary, { timezone, locale: 'en', full: true }).text);
    } else
      context.print(
        `run ${run.runId} of ${run.jobName} began ${isoInstant(run.startedAtMs)} and is not closed.`,
      );
    return 0;
  });
}

/** The ledger that all jobs of an INI share. */
async function withLedger<T>(config: Config, work: (ledger: Ledger | undefined) => Promise<T>): Promise<T> {
  const ledger = openLedgerForReading(config.jobs[0]!.settings.paths.state_folder);
  try {
    return await work(ledger);
  } finally {
    ledger?.close();
  }
}
