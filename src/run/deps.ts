import type { JobConfig } from '../config/schema.ts';
import type { Capability } from '../fhir/capability.ts';
import type { FhirClient } from '../fhir/client.ts';
import type { Dialect } from '../fhir/searchRules.ts';
import type { UrlPolicy } from '../fhir/urlPolicy.ts';
import type { RunSummary } from '../report/summary.ts';
import type { Clock } from '../system/clock.ts';
import type { Log } from '../system/logger.ts';
import type { Emit } from './events.ts';
import type { JobPlace } from './jobPlace.ts';
import type { Ledger } from './ledger.ts';
import type { Access } from './preflight.ts';

/** What a run is handed: its stages share these and construct nothing. */

/** The FHIR server as a run uses it. */
export interface Server {
  readonly client: FhirClient;
  readonly urlPolicy: UrlPolicy;
  readonly capability: Capability;
  readonly dialect: Dialect;
  /** Sentences for the report: scopes that were narrowed, say. */
  readonly notes: readonly string[];
  close(): Promise<void>;
}

export interface RunDeps {
  readonly job: JobConfig;
  /** `checkAccess(job)`: this machine is fit for the job. */
  readonly access: Access;
  readonly ledger: Ledger;
  readonly clock: Clock;
  readonly log: Log;
  readonly emit: Emit;
  readonly signal: AbortSignal;
  readonly random: () => number;
  readonly programVersion: string;
  /** As a holder of the lock is named to others. */
  readonly command: string;
  readonly nextRunAtMs: number | undefined;
  /** Appointed times that passed without a run, which this run makes up for; for its report. */
  readonly missedSlots?: RunSummary['missedSlots'];
  /** Gets a token and reads the CapabilityStatement: the first requests of a run. */
  readonly connect: (access: Access, emit: Emit, log: Log) => Promise<Server>;
}

export interface RunOptions {
  readonly fresh: boolean;
  readonly retryFailed: boolean;
  readonly acceptRoster: boolean;
  /** A person asked for it, as against the daemon. */
  readonly manual: boolean;
  /** What passes by itself, such as a server that is away, pauses the run for the daemon to go on with later. */
  readonly patient: boolean;
}

/** What closing a run needs to know of its job and surroundings. */
export interface CloseContext extends JobPlace {
  readonly ledger: Ledger;
  readonly clock: Clock;
  readonly environment: string | undefined;
  readonly method: 'crawl' | 'bulk';
  readonly timezone: string;
  readonly programVersion: string;
  readonly nextRunAtMs: number | undefined;
  readonly notifyOn: 'always' | 'problems' | 'change' | undefined;
  readonly keepRuns: number;
  readonly keepDays: number;
  readonly missedSlots: RunSummary['missedSlots'];
  readonly privateKeyFile: string;
  readonly certificateFile: string | undefined;
  /** Monotonic ms at which this attempt began. */
  readonly attemptFrom: number;
}
