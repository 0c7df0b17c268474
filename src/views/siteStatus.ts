import type { Config, JobConfig } from '../config/schema.ts';
import { byteSize, countOf } from '../report/format.ts';
import { howFar } from '../run/howFar.ts';
import type { Ledger } from '../run/ledger.ts';
import type { ExportRow } from '../run/ledgerExports.ts';
import type { LockHolder, RunRow } from '../run/ledgerRows.ts';
import { isLockHeld } from '../run/lock.ts';
import { replayExports } from '../run/replay.ts';
import { servedThrough } from '../schedule/catchUp.ts';
import { createHours } from '../schedule/hours.ts';
import { createSlots } from '../schedule/slots.ts';
import { isoInstant, type Clock } from '../system/clock.ts';
import { freeBytes } from '../system/files.ts';
import { healthOf, weighs, wholeVerdict, type JobHealth, type Verdict } from './jobHealth.ts';

/** A slot is missed when nothing began for so long: another job's end, or a daemon's start, takes a while. */
const SLOT_GRACE_MS = 5 * 60_000;

export interface JobStatus extends JobHealth {
  readonly job: string;
  readonly lastRun: string | undefined;
  readonly nextRun: string | undefined;
  readonly holder: LockHolder | undefined;
  readonly progress: { readonly done: number; readonly planned: number } | undefined;
  /** What the daemon told a person of, what befell the ledger or the disk since the last complete run, room that runs out. */
  readonly warnings: readonly string[];
}

export interface SiteStatus {
  readonly verdict: Verdict;
  readonly why: string;
  readonly next: string | undefined;
  readonly jobs: readonly JobStatus[];
  readonly outbox: { readonly mails: number; readonly held: number; readonly lastCode: string | undefined };
  readonly disk: {
    readonly folder: string;
    readonly freeBytes: number;
    readonly runsLeft: number | undefined;
  };
}

/** One verdict for all jobs and one for each, with why and what to do. Reads the ledger and asks the locks. */
export async function siteStatus(
  config: Config,
  ledger: Ledger | undefined,
  clock: Clock,
): Promise<SiteStatus> {
  const jobs: JobStatus[] = [];
  for (const job of config.jobs) jobs.push(await jobStatus(job, ledger, clock));
  const disk = await diskOf(config, ledger);
  const verdict = wholeVerdict(jobs.map((job) => job.verdict));
  const weighing = jobs.filter((job) => weighs(job.verdict, verdict));
  const [first] = weighing;
  const others = weighing.length > 1 ? ` And ${countOf(weighing.length - 1, 'job')} more like it.` : '';
  return {
    verdict,
    why: jobs.length === 1 ? first!.why : `${first!.job}: ${first!.why}${others}`,
    next: first!.next,
    jobs,
    outbox: ledger?.outbox.waiting() ?? { mails: 0, held: 0, lastCode: undefined },
    disk,
  };
}

async function jobStatus(job: JobConfig, ledger: Ledger | undefined, clock: Clock): Promise<JobStatus> {
  const { jobName, settings } = job;
  const { schedule, paths, epic_settings: epic } = settings;
  const lockName = `job ${jobName}`;
  const [last] = ledger?.runs({ jobName, limit: 1 }) ?? [];
  const isRunning = isLockHeld(paths.state_folder, lockName);
  const holder = isRunning ? ledger?.holders.find(lockName) : undefined;
  const counts =
    ledger && last?.state === 'open' ? await howFar(ledger, paths.state_folder, last) : undefined;
  const facts = {
    jobName,
    method: job.method,
    nowMs: clock.now(),
    last,
    lastComplete: ledger?.lastComplete(jobName),
    isRunning,
    holder,
    progress: counts,
    waitsFor: ledger && last?.state === 'open' ? waitOf(ledger, last) : undefined,
    missedSlotMs:
      last && missedSlot(job, ledger?.schedules.served(jobName)?.slotMs, last.startedAtMs, clock.now()),
    waitsForServer: !isRunning && isLockHeld(paths.state_folder, `server ${originOf(epic.epic_endpoint)}`),
  };
  const { cron, timezone } = schedule;
  const next = cron === undefined ? undefined : createSlots(cron, timezone).after(clock.now());
  return {
    job: jobName,
    ...healthOf(facts),
    lastRun: last?.runId,
    nextRun: next === undefined ? undefined : isoInstant(next),
    holder,
    progress: counts && {
      done: counts.ok + counts.empty + counts.gap + counts.failed,
      planned: counts.planned,
    },
    warnings: [
      ...(ledger?.notices.open(jobName) ?? []).map(({ text }) => text),
      ...(ledger?.incidents.open(jobName) ?? []).map(({ text }) => text),
      ...(await roomWarnings(job, ledger)),
    ],
  };
}

/** The export that a run waits for; none once its files are listed. */
function waitOf(ledger: Ledger, { runNo }: RunRow): ExportRow | undefined {
  const listed = replayExports(ledger, { runNo }).listed;
  return ledger.exports
    .of(runNo)
    .find(({ exportNo, state }) => !listed.has(exportNo) && (state === 'waiting' || state === 'running'));
}

/** The first slot that passed unserved, in hours in which it could have been served. */
function missedSlot(
  { settings }: JobConfig,
  notedMs: number | undefined,
  lastStartMs: number,
  nowMs: number,
): number | undefined {
  const { cron, timezone, allowed_hours: hours } = settings.schedule;
  if (cron === undefined || !createHours(hours, timezone).isOpen(nowMs)) return undefined;
  const servedMs = servedThrough(notedMs ?? lastStartMs, lastStartMs, nowMs);
  return createSlots(cron, timezone).after(servedMs, nowMs - SLOT_GRACE_MS);
}

function originOf(url: string): string {
  return URL.canParse(url) ? new URL(url).origin : url;
}

async function roomWarnings(
  { jobName, settings }: JobConfig,
  ledger: Ledger | undefined,
): Promise<readonly string[]> {
  const folder = settings.paths.epic_data_export_folder;
  const bytes = ledger?.lastPublished(jobName)?.summary?.bytes;
  const free = await freeBytes(folder);
  if (bytes === undefined || free >= bytes) return [];
  return [`${byteSize(free)} are left in ${folder}, and the last run took ${byteSize(bytes)}: free space.`];
}

/** Room on the first job's disk of exports, in runs of all jobs as the last ones were. */
async function diskOf({ jobs }: Config, ledger: Ledger | undefined): Promise<SiteStatus['disk']> {
  const folder = jobs[0]!.settings.paths.epic_data_export_folder;
  const free = await freeBytes(folder);
  const round = jobs.reduce(
    (sum, { jobName }) => sum + (ledger?.lastPublished(jobName)?.summary?.bytes ?? 0),
    0,
  );
  return { folder, freeBytes: free, runsLeft: round === 0 ? undefined : Math.floor(free / round) };
}
