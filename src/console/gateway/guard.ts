import type { JobConfig } from '../../config/schema.ts';
import { RoundsError } from '../../errors.ts';
import { readRoster } from '../../inputs/patientRoster.ts';
import type { PatientHash } from '../patientHash.ts';
import type { Site } from '../site.ts';
import { gatewayMode, type GatewayMode } from './environment.ts';

/** Who may see what through the gateway, and the line that is written of it. */

/** One use of the gateway. */
export interface Use {
  readonly job: JobConfig;
  readonly mode: Exclude<GatewayMode, 'off'>;
  /** The session's name. */
  readonly session: string;
  /** `GET /fhir/patient/{id}`: as the table has it, without values. */
  readonly route: string;
}

/** The job that `?job=` names; without it, the only one. Throws CONSOLE_ASK_INVALID. */
export function jobNamed({ config }: Pick<Site, 'config'>, jobName: string | undefined): JobConfig {
  const { jobs } = config();
  const job = jobName === undefined ? jobs[0] : jobs.find((one) => one.jobName === jobName);
  if (job !== undefined && (jobName !== undefined || jobs.length === 1)) return job;
  const names = jobs.map((one) => one.jobName).join(', ');
  throw new RoundsError(
    'CONSOLE_ASK_INVALID',
    jobName === undefined ? 'job is missing: there are several' : 'there is no such job',
    { hint: `Name one of the jobs: ${names}.` },
  );
}

/** Throws CONSOLE_UNAVAILABLE where the gateway to this job's server is off. */
export function demandOpen(job: JobConfig): Use['mode'] {
  const mode = gatewayMode(job);
  if (mode !== 'off') return mode;
  const isSwitchedOff = job.settings.console.gateway === 'off';
  throw new RoundsError(
    'CONSOLE_UNAVAILABLE',
    isSwitchedOff ? 'the gateway is off' : 'the gateway is off: this server holds the records of people',
    {
      hint: isSwitchedOff
        ? 'Set [console] gateway = auto to use it with sandboxes.'
        : 'Set [console] gateway = on to look up patients of the roster, each use written into the audit file.',
    },
  );
}

/** Which of these patients stand on the job's roster, by fhir_id. Reads the file as it is now, as far as it has to. */
export async function thoseOnRoster(
  { settings }: JobConfig,
  patientIds: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<ReadonlySet<string>> {
  const found = new Set<string>();
  if (patientIds.size === 0) return found;
  const file = settings.data_sources.epic_sandbox_roster;
  for await (const { patientId } of readRoster(file, { badRows: 'skip', signal })) {
    if (patientId !== undefined && patientIds.has(patientId)) found.add(patientId);
    if (found.size === patientIds.size) break;
  }
  return found;
}

/** Throws CONSOLE_REFUSED unless one of the patients is on the roster. The refusal is audited. */
export async function demandOnRoster(
  audit: Audit,
  use: Use,
  patientIds: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<void> {
  if ((await thoseOnRoster(use.job, patientIds, signal)).size > 0) return;
  await audit(use, patientIds, undefined);
  throw refused(
    'this patient is not on the roster',
    'Towards production the gateway shows patients of the roster alone, by their fhir_id.',
  );
}

export function refused(what: string, hint: string): RoundsError {
  return new RoundsError('CONSOLE_REFUSED', what, { hint });
}

/** Writes a use down, durably, before its answer goes out: one line for each patient, or one. */
export type Audit = (use: Use, patientIds: Iterable<string>, answered: number | undefined) => Promise<void>;

export function auditInto(site: Pick<Site, 'write' | 'clock'>, hash: PatientHash): Audit {
  return async ({ job, session, route }, patientIds, answered) => {
    const { epic_settings: epic, oauth_settings: oauth } = job.settings;
    const entry = {
      event: 'gateway.used',
      job: job.jobName,
      server: new URL(epic.epic_endpoint).host,
      clientId: oauth.client_id,
      ...{ session, route },
      ...(answered === undefined ? { status: 'refused' } : { answered }),
    } as const;
    const names = [...patientIds].map(hash);
    await site.write(({ audit }) => {
      if (names.length === 0) audit.append({ ...entry, atMs: site.clock.now() });
      for (const patient of names) audit.append({ ...entry, patient, atMs: site.clock.now() });
    });
  };
}
