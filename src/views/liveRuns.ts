import type { JobConfig } from '../config/schema.ts';
import type { RunTally } from '../run/tally.ts';
import type { SearchCounts } from '../report/summary.ts';
import { doneOf } from '../run/howFar.ts';
import { placeOf } from '../run/jobPlace.ts';
import type { Ledger } from '../run/ledger.ts';
import type { ChainPosition, RunRow } from '../run/ledgerRows.ts';
import { isLockHeld } from '../run/lock.ts';
import { typeNames, type PullPlan } from '../run/plan.ts';
import { tallyFor } from '../run/replay.ts';
import { serverPause } from '../run/serverPause.ts';
import { hasSnapshot, openSnapshot, snapshotFolder } from '../run/snapshot.ts';
import type { Clock } from '../system/clock.ts';

/** A run that is not closed, as far as the ledger has it: at most a second behind. */
export interface LiveRun {
  readonly runId: string;
  /** Whether a process is at it; else it was interrupted. */
  readonly isWorking: boolean;
  readonly startedAtMs: number;
  readonly counts: SearchCounts;
  readonly types: readonly { readonly resourceType: string; readonly counts: SearchCounts }[];
  readonly records: number;
  readonly bytes: number;
  /** Searches a second over the last half minute; undefined: not known yet. */
  readonly perSecond: number | undefined;
  /** At that rate; a guess. */
  readonly leftMs: number | undefined;
  /** What is left of a pause that the server asked for, in ms. */
  readonly pausedMs: number;
}

/** Over which the rate is taken. */
const RATE_WINDOW_MS = 30_000;
/** What came in less time says nothing of the rate. */
const RATE_LEAST_MS = 3_000;

interface Followed {
  readonly runNo: number;
  readonly plan: PullPlan;
  readonly tally: RunTally;
  position: ChainPosition;
  readonly seen: { readonly atMs: number; readonly done: number }[];
}

/** Follows open runs: of each it reads what was committed since it looked last. */
export class LiveRuns {
  readonly #clock: Clock;
  readonly #followed = new Map<string, Followed>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The job's open run; undefined: there is none, or it has not begun to pull. */
  async look(job: JobConfig, ledger: Ledger): Promise<LiveRun | undefined> {
    const { jobName } = job;
    const run = ledger.openRunOf(jobName);
    const followed = run && (await this.#follow(job, ledger, run));
    if (run === undefined || followed === undefined) {
      this.#followed.delete(jobName);
      return undefined;
    }
    for (const { commit, position } of ledger.pulls.commits(run.runNo, followed.position)) {
      followed.tally.apply(commit);
      followed.position = position;
    }
    const { stateFolder, fhirBase } = placeOf(job);
    const pausedMs = await serverPause(stateFolder, fhirBase, this.#clock).left();
    const isWorking = isLockHeld(stateFolder, `job ${jobName}`);
    return {
      runId: run.runId,
      startedAtMs: run.startedAtMs,
      isWorking,
      pausedMs,
      ...this.#progress(followed),
    };
  }

  async #follow(job: JobConfig, ledger: Ledger, run: RunRow): Promise<Followed | undefined> {
    const known = this.#followed.get(job.jobName);
    if (known?.runNo === run.runNo) return known;
    const folder = snapshotFolder(job.settings.paths.state_folder, run.runId);
    if (!(await hasSnapshot(folder))) return undefined;
    const { patients, plan } = (await openSnapshot(folder)).settings;
    const followed: Followed = {
      runNo: run.runNo,
      plan,
      tally: tallyFor(patients, plan),
      position: ledger.pulls.chainStart(run.runNo),
      seen: [],
    };
    this.#followed.set(job.jobName, followed);
    return followed;
  }

  #progress({ plan, tally, seen }: Followed) {
    const counts = tally.totals;
    const done = doneOf(counts);
    const now = this.#clock.monotonicMs();
    seen.push({ atMs: now, done });
    while (seen.length > 2 && now - seen[1]!.atMs > RATE_WINDOW_MS) seen.shift();
    const [first] = seen;
    const ms = now - first!.atMs;
    const perSecond = ms < RATE_LEAST_MS ? undefined : ((done - first!.done) * 1000) / ms;
    const files = [...tally.files.values()];
    return {
      counts,
      types: typeNames(plan)
        .map((resourceType, typeNo) => ({ resourceType, counts: tally.countsOf(typeNo) }))
        .filter(({ counts }) => counts.planned > 0),
      records: files.reduce((sum, { count }) => sum + count, 0),
      bytes: files.reduce((sum, { bytes }) => sum + bytes, 0),
      perSecond,
      leftMs: perSecond ? (1000 * (counts.planned - done)) / perSecond : undefined,
    };
  }
}
