import path from 'node:path';
import { readFile } from 'node:fs/promises';
import { loadPrivateKey, type SigningKey } from '../auth/keys.ts';
import { keyIdFor } from '../auth/keyId.ts';
import type { JobConfig } from '../config/schema.ts';
import { asRoundsError, RoundsError, throwIfProblems, type ErrorCode, type Problem } from '../errors.ts';
import { readResourceList, type ListedType } from '../inputs/resourceList.ts';
import { scanRoster, type RosterRow, type RosterScan } from '../inputs/patientRoster.ts';
import { RUN_ID } from '../publish/layout.ts';
import { MANIFEST } from '../publish/manifest.ts';
import {
  canRename,
  exists,
  lookPathWritable,
  networkFileSystem,
  PRIVATE_MODES,
  provePathWritable,
  type FileModes,
} from '../system/files.ts';
import { exposureOf } from '../system/ownership.ts';
import { typesOfBulk } from './exportPlan.ts';
import { placeOf, type JobPlace } from './jobPlace.ts';
import type { Ledger } from './ledger.ts';
import { writeRosterCopy } from './snapshot.ts';

/** Everything a run needs from this machine, found good before the first request. */
export interface Access {
  readonly key: SigningKey;
  readonly keyId: string;
  readonly caPem: string | undefined;
  readonly smtpCaPem: string | undefined;
  /** What stops no run and a person should know, a sentence each. */
  readonly warnings: readonly string[];
}

export interface Inputs {
  readonly listed: readonly ListedType[];
  /** undefined: of a bulk export of all patients, which reads no roster. */
  readonly roster: RosterScan | undefined;
}

/** How folders are proven: `write` makes them and a file in them, `look` asks the modes and leaves no trace. */
export type Proof = 'write' | 'look';

/**
 * Checks keys, folders and files; asks no server. Throws every part's problems at once (CONFIG_INVALID, or the code
 * of the only one). When there are any, roster and list are read too, so that nothing is left for the next try.
 */
export async function checkAccess(
  job: JobConfig,
  signal: AbortSignal,
  proof: Proof = 'write',
): Promise<Access> {
  const { paths, jwt_settings: jwt, network, email } = job.settings;
  const parts = new Parts();
  const key = await parts.try('[paths] private_key', () =>
    loadPrivateKey(paths.private_key, { algorithm: jwt.jwt_algorithm, keyId: jwt.key_id }),
  );
  const certificatePem = await parts.try('[paths] certificate', () => readOptional(paths.certificate));
  const keyId =
    key &&
    (await parts.try('[jwt_settings] key_id', () =>
      keyIdFor(key, { configured: jwt.key_id, certificatePem }),
    ));
  const caPem = await parts.try('[network] ca_file', () => readOptional(network.ca_file));
  const smtpCaPem = await parts.try('[email] smtp_tls_ca', () => readOptional(email?.smtp_tls_ca));
  const ofExports = await parts.try('[paths] epic_data_export_folder', () =>
    checkExportFolder(paths.epic_data_export_folder, placeOf(job), proof),
  );
  const ofState = await parts.try('[paths] state_folder', () => checkStateFolder(paths.state_folder, proof));
  await parts.try('[paths] log_folder', () => prove(paths.log_folder, proof));
  if (parts.hasProblems) await parts.try('roster and list', () => checkInputs(job, signal));
  parts.throwAll();
  const warnings = [...key!.warnings, ...(ofExports ?? []), ...(ofState ?? [])];
  return { key: key!, keyId: keyId!, caPem, smtpCaPem, warnings };
}

/**
 * Reads what the job needs of roster and list through, row by row. Throws INPUT_INVALID with all their problems.
 *
 * @param rosterCopy where the run's copy of the roster goes, for which it is not read again: so the two are the same
 *   whatever becomes of the file meanwhile. The caller removes it when this throws
 */
export async function checkInputs(
  { method, settings }: JobConfig,
  signal: AbortSignal,
  rosterCopy?: string,
): Promise<Inputs> {
  const { data_sources: sources, bulk } = settings;
  const parts = new Parts();
  const ofBulk = method === 'bulk' ? typesOfBulk(settings) : undefined;
  const listed =
    ofBulk ?? (await parts.try('resource list', () => readResourceList(sources.epic_sandbox_resources)));
  const scan = (keep?: (rows: readonly RosterRow[]) => Promise<void>): Promise<RosterScan> =>
    scanRoster(sources.epic_sandbox_roster, { badRows: sources.roster_bad_rows, signal }, keep);
  const needsRoster = method === 'crawl' || bulk.patients === 'roster';
  const roster = needsRoster
    ? await parts.try('roster', () => (rosterCopy === undefined ? scan() : writeRosterCopy(rosterCopy, scan)))
    : undefined;
  parts.throwAll();
  return { listed: listed!, roster };
}

/** A roster that lost many patients since the last run is more often a broken export than the truth. */
export function checkRosterDrop(job: JobConfig, ledger: Ledger, patients: number): void {
  const last = ledger.lastPublished(job.jobName)?.summary;
  if (last === undefined || last.patients === 0) return;
  const drop = (100 * (last.patients - patients)) / last.patients;
  const allowed = job.settings.data_sources.max_roster_drop_percent;
  if (drop <= allowed) return;
  throw new RoundsError(
    'ROSTER_SHRUNK',
    `the roster has ${patients} patients, the last run's had ${last.patients}: ${drop.toFixed(0)} % fewer, ` +
      `and max_roster_drop_percent is ${allowed}`,
  );
}

/**
 * Exports never lie inside another run's published folder, whose manifest they would contradict, and the job's own
 * folder is nobody else's. Returns warnings.
 */
async function checkExportFolder(
  folder: string,
  { folders, modes }: JobPlace,
  proof: Proof,
): Promise<readonly string[]> {
  for (let at = path.resolve(folder); path.dirname(at) !== at; at = path.dirname(at)) {
    if (RUN_ID.test(path.basename(at)) || (await exists(path.join(at, MANIFEST)))) {
      throw new RoundsError('PATH_UNUSABLE', `${folder} lies inside a run's folder, ${at}`, {
        hint: 'Name a folder of its own for exports.',
      });
    }
  }
  const warnings = await refuseExposed(folders.job, modes.folder);
  await prove(folder, proof, modes);
  await refuseTwoDisks(folders.staging, folders.job);
  return warnings;
}

/** A run becomes visible by one rename out of staging, which no file system does across its border. */
async function refuseTwoDisks(staging: string, job: string): Promise<void> {
  if (await canRename(staging, job)) return;
  throw new RoundsError('PATH_UNUSABLE', `${staging} lies on another file system than ${job}`, {
    hint: 'Unmount it, or mount the folder above both: a run is published by one rename.',
  });
}

function prove(folder: string, proof: Proof, modes: FileModes = PRIVATE_MODES): Promise<void> {
  return proof === 'write' ? provePathWritable(folder, modes) : lookPathWritable(folder);
}

/** Throws PATH_EXPOSED when others own a folder of ours or can reach it; returns what can only be warned of. */
async function refuseExposed(folder: string, allowed: number): Promise<readonly string[]> {
  const exposure = await exposureOf(folder, allowed);
  if (exposure === undefined) return [];
  const { verdict, what, fix } = exposure;
  if (verdict === 'refuse') throw new RoundsError('PATH_EXPOSED', `${what}: ${fix}`);
  return [`${what}; this file system keeps no modes of its own: see to it with the options of its mount`];
}

/**
 * The ledger's disk is local and can be written to, and the folder is nobody else's. Returns warnings. Throws
 * PATH_UNUSABLE, PATH_EXPOSED.
 */
export async function checkStateFolder(folder: string, proof: Proof = 'write'): Promise<readonly string[]> {
  const network = await networkFileSystem(folder);
  if (network !== undefined) {
    throw new RoundsError('PATH_UNUSABLE', `${folder} lies on ${network}`, {
      hint: 'Put state_folder on a local disk: a ledger on a network share can be damaged by two machines at once.',
    });
  }
  const warnings = await refuseExposed(folder, PRIVATE_MODES.folder);
  await prove(folder, proof);
  return warnings;
}

async function readOptional(file: string | undefined): Promise<string | undefined> {
  if (file === undefined) return undefined;
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new RoundsError('PATH_UNUSABLE', `${file} cannot be read`, { cause: error });
  }
}

/** What is nothing to be put right in settings or files. */
const NO_PROBLEMS: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['INTERNAL', 'INTERRUPTED', 'DISK_FULL']);

/** Gathers what several parts throw, so that all is said at once. */
class Parts {
  readonly #errors: { readonly where: string; readonly error: RoundsError }[] = [];

  async try<T>(where: string, work: () => T | Promise<T>): Promise<T | undefined> {
    try {
      return await work();
    } catch (thrown) {
      const error = asRoundsError(thrown);
      if (NO_PROBLEMS.has(error.code)) throw thrown;
      this.#errors.push({ where, error });
      return undefined;
    }
  }

  get hasProblems(): boolean {
    return this.#errors.length > 0;
  }

  throwAll(): void {
    const [first, ...others] = this.#errors;
    if (first && others.length === 0)
      throw first.error.failure === 'config' ? first.error : asConfig(first.error);
    const problems = this.#errors.flatMap(({ where, error }): readonly Problem[] =>
      error.problems.length > 0 ? error.problems : [{ where, what: `${error.message}. ${error.hint}` }],
    );
    throwIfProblems('CONFIG_INVALID', problems);
  }
}

function asConfig(error: RoundsError): RoundsError {
  return new RoundsError(error.code, error.message, {
    hint: error.hint,
    failure: 'config',
    cause: error.cause,
  });
}
