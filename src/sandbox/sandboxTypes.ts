import type { BulkOracle, OracleKickoff } from './bulk/bulkOracle.ts';
import type { BulkOptions } from './bulk/options.ts';
import type { RegisteredClient } from './clientKeys.ts';
import type { FaultRule } from './faults.ts';
import type { OracleLine, OracleRow } from './oracle.ts';
import type { RecordedRequest, RequestCounts } from './requestLog.ts';
import type { Dialect } from './rules.ts';
import type { RunningSmtp, SmtpOptions } from './smtp.ts';

/** What a sandbox is started with, and what a test or a command holds of a running one. */

export interface SandboxOptions {
  /** Default 127.0.0.1. Anything but a loopback address is refused. */
  readonly host?: string;
  /** Default 0: any free port. */
  readonly port?: number;
  /** Default `epic`. */
  readonly dialect?: Dialect;
  /** Generated patients. Default 7, Epic's test patients. */
  readonly patients?: number;
  /** Default 1. The same seed, the same bytes. */
  readonly seed?: number;
  /** Appends the special patients: merged, deleted, Break-the-Glass, partial, two with one MRN. */
  readonly special?: boolean;
  /** Instead of generated patients: a folder of NDJSON files and JSON Bundles, plain or gzipped. */
  readonly dataDir?: string;
  readonly clients?: readonly RegisteredClient[];
  /** Default 3600. */
  readonly tokenLifeSeconds?: number;
  /** Life of a paging session. Default 600. */
  readonly pageSessionSeconds?: number;
  /** Added to each FHIR and token answer. Default 0. */
  readonly latencyMs?: number;
  /** The server's own cap on `_count`. Default 1000; without `_count` a page holds 100. */
  readonly maxPageSize?: number;
  readonly faults?: readonly FaultRule[];
  /** How `$export` behaves. */
  readonly bulk?: BulkOptions;
  /** Default on, with STARTTLS and a certificate of its own, as Proton Bridge has. */
  readonly smtp?: SmtpOptions | false;
  /** The server's clock against ours. Default 0. */
  readonly clockOffsetSeconds?: number;
  /** The server's time in ms since 1970, for tests that hold the clock. Default the machine's. */
  readonly now?: () => number;
}

export interface Sandbox {
  /** `http://127.0.0.1:PORT` */
  readonly origin: string;
  readonly fhirBase: string;
  readonly tokenEndpoint: string;
  readonly smtp: RunningSmtp | undefined;
  /** The last 100,000 requests, each recorded once its answer is over. */
  readonly requests: readonly RecordedRequest[];
  counts(): RequestCounts;
  /** Number of patients, special ones included. */
  readonly patientCount: number;
  patientIdAt(ordinal: number): string | undefined;
  /** What a perfect client obtains for a list (rows, or the CSV's text): for these patients, or for all. */
  oracle(list: readonly OracleRow[] | string, patientIds?: readonly string[]): AsyncIterable<OracleLine>;
  /** Replaces the fault script; counting starts again. Throws CONFIG_INVALID for a script that is wrong. */
  setFaults(faults: readonly FaultRule[]): void;
  /** How often each rule of the script has struck; those of the mail server are not counted. */
  faultsStruck(): readonly number[];
  registerClient(client: RegisteredClient): void;
  /** Bulk Data: what an export begun now holds, and what happens to resources between exports. */
  readonly bulk: SandboxBulk;
  /** Ends all connections and stops. May be called twice. */
  close(): Promise<void>;
}

export interface SandboxBulk {
  /** Origin of the other listener, where there is one. */
  readonly otherOrigin: string | undefined;
  /** What a perfect client obtains from a kick-off. Throws for one that the server refuses. */
  oracle(kickoff: OracleKickoff): BulkOracle<OracleLine>;
  /** Marks a resource as changed now, for `_since`; its bytes stay. Throws for one that is not there. */
  touch(type: string, id: string): void;
  /** Deletes a resource now, a Patient with all that is its own. Throws for one that is not there. */
  remove(type: string, id: string): void;
}
