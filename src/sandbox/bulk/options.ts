import type { RetryAfter } from '../faults.ts';
import type { Dialect } from '../rules.ts';

/** The group of Epic's sandbox (Epic on FHIR, H). Without `groups` it holds all patients. */
export const EPIC_SANDBOX_GROUP = 'e3iabhmS8rsueyz7vaimuiaSmfGvi.QwjVXJANlPOgR83';

/** The parameters of `$export` (Bulk Data Access 3.0.0, "Query Parameters"). */
export const EXPORT_PARAMETERS = [
  '_outputFormat',
  '_since',
  '_until',
  '_type',
  '_elements',
  'patient',
  'includeAssociatedData',
  '_typeFilter',
  'organizeOutputBy',
  'allowPartialManifests',
] as const;
export type ExportParameter = (typeof EXPORT_PARAMETERS)[number];

/** How the sandbox's `$export` behaves. Everything has a default; faults are scripted apart (`faults`). */
export interface BulkOptions {
  /** Members by group id: ordinals or logical ids, or `all`. Default: Epic's sandbox group with all patients. */
  readonly groups?: Readonly<Record<string, readonly (number | string)[] | 'all'>>;
  /** Parameters that this server does not know: refused, or with `handling=lenient` ignored and said. */
  readonly unsupported?: readonly ExportParameter[];

  /** Status requests that are answered 202 before the manifest comes. Default 1. */
  readonly polls?: number;
  /** An export takes at least so many seconds by the server's clock. Default 0. */
  readonly seconds?: number;
  /** With each 202. Default 1 second; `false` sends no such header. */
  readonly retryAfter?: RetryAfter | false;
  /** `X-Progress` texts in turn, the last one repeated. Default a percentage. */
  readonly progress?: readonly string[];
  /** A status request sooner than this after the one before is answered 429. Default 0: never. */
  readonly minPollSeconds?: number;

  /** Default 3,000, as at Epic. */
  readonly resourcesPerFile?: number;
  /**
   * Files in one manifest, further ones behind `link` `next`. Default: no limit, and 5 when the client allows
   * partial manifests. When it is set, manifests are paged also for clients that did not allow it.
   */
  readonly filesPerManifest?: number;
  /** Default `absolute`. */
  readonly urls?: 'absolute' | 'relative';
  /** As it stands in the manifest: Epic says the string `"true"`, its default; us-core says true. */
  readonly requiresAccessToken?: boolean | 'true' | 'false';
  /** Whether `output` says `count`. Default true. */
  readonly counts?: boolean;
  /** Members that the manifest leaves out, such as `deleted` or `error`. */
  readonly manifestWithout?: readonly string[];

  /** The member that lists the files of OperationOutcomes. Default `error`; 4.0's drafts say `outcome`. */
  readonly outcomesIn?: 'error' | 'outcome';

  /** A further listener on a port of its own, another origin: for redirects and status URLs. Default false. */
  readonly otherOrigin?: boolean;
  /** The manifest's files lie there. Implies `otherOrigin`. Default false. */
  readonly filesOnOtherOrigin?: boolean;
  /** Life of the URLs of one manifest; fetched again, it has fresh ones. Default: as long as the files. */
  readonly urlLifeSeconds?: number;
  /** Files and status URL are kept so long after completion. Default 14 days, as at Epic. */
  readonly fileLifeSeconds?: number;
  /** Epic's wait between two exports of a group by a client. Default 24 h in the epic dialect, else 0. */
  readonly groupWaitSeconds?: number;
  /** Exports of one client that may run at a time; one more is refused with 429. Default: any number. */
  readonly maxRunning?: number;
}

const DAY_SECONDS = 86_400;

/** The options with their defaults. */
export interface BulkSettings {
  readonly dialect: Dialect;
  readonly groups: Readonly<Record<string, readonly (number | string)[] | 'all'>>;
  readonly unsupported: readonly string[];
  readonly polls: number;
  readonly seconds: number;
  readonly retryAfter: RetryAfter | false;
  readonly progress: readonly string[] | undefined;
  readonly minPollSeconds: number;
  readonly resourcesPerFile: number;
  readonly filesPerManifest: number | undefined;
  readonly urls: 'absolute' | 'relative';
  readonly requiresAccessToken: boolean | string;
  readonly counts: boolean;
  readonly manifestWithout: readonly string[];
  readonly outcomesIn: 'error' | 'outcome';
  readonly otherOrigin: boolean;
  readonly filesOnOtherOrigin: boolean;
  readonly urlLifeSeconds: number | undefined;
  readonly fileLifeSeconds: number;
  readonly groupWaitSeconds: number;
  readonly maxRunning: number;
}

/** What Epic's `$export` knows: no `_since`, nothing of 3.0 (Epic on FHIR, H). */
const EPIC_KNOWS: readonly string[] = ['_outputFormat', '_type', '_typeFilter'];

export function bulkSettings(options: BulkOptions, dialect: Dialect): BulkSettings {
  const isEpic = dialect === 'epic';
  const unknownAtEpic = EXPORT_PARAMETERS.filter((name) => !EPIC_KNOWS.includes(name));
  return {
    dialect,
    groups: options.groups ?? { [EPIC_SANDBOX_GROUP]: 'all' },
    unsupported: [...(isEpic ? unknownAtEpic : []), ...(options.unsupported ?? [])],
    polls: options.polls ?? 1,
    seconds: options.seconds ?? 0,
    retryAfter: options.retryAfter ?? 1,
    progress: options.progress,
    minPollSeconds: options.minPollSeconds ?? 0,
    resourcesPerFile: options.resourcesPerFile ?? 3_000,
    filesPerManifest: options.filesPerManifest,
    urls: options.urls ?? 'absolute',
    requiresAccessToken: options.requiresAccessToken ?? (isEpic ? 'true' : true),
    counts: options.counts ?? true,
    manifestWithout: options.manifestWithout ?? [],
    outcomesIn: options.outcomesIn ?? 'error',
    otherOrigin: options.otherOrigin === true || options.filesOnOtherOrigin === true,
    filesOnOtherOrigin: options.filesOnOtherOrigin ?? false,
    urlLifeSeconds: options.urlLifeSeconds,
    fileLifeSeconds: options.fileLifeSeconds ?? 14 * DAY_SECONDS,
    groupWaitSeconds: options.groupWaitSeconds ?? (isEpic ? DAY_SECONDS : 0),
    maxRunning: options.maxRunning ?? Infinity,
  };
}
