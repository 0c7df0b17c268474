import type { TokenService } from '../auth/accessToken.ts';
import { connectServer, openTokenService, type Surroundings } from '../compose.ts';
import type { JobConfig } from '../config/schema.ts';
import { asRoundsError } from '../errors.ts';
import { problemsOfList } from '../fhir/searchRules.ts';
import { readRoster } from '../inputs/patientRoster.ts';
import type { Server } from '../run/deps.ts';
import { makeExportPlan } from '../run/exportPlan.ts';
import { makePlan, type PullPlan, type SearchedType } from '../run/plan.ts';
import type { Access, Inputs } from '../run/preflight.ts';
import { checkToken } from '../views/checkToken.ts';
import type { Teller } from '../views/checkStep.ts';

/** Steps of `check` that ask the FHIR server: clock, token, scopes, types, one record of each. */
export async function checkServer(
  job: JobConfig,
  access: Access,
  inputs: Inputs | undefined,
  around: Surroundings,
  probes: boolean,
  to: Teller,
): Promise<void> {
  const open = (): Promise<TokenService> => openTokenService(job, access, around);
  if (!(await checkToken(job, access, inputs?.listed ?? [], open, around.clock, to))) return;
  const server = await to.attempt('token and server', async () => {
    const value = await connectServer(job, access, around, () => undefined);
    const { capability, dialect } = value;
    const software = capability.software?.name ?? 'unnamed software';
    return {
      value,
      detail: `token granted; ${software}, FHIR ${capability.fhirVersion}, ${capability.types.size} types, rules: ${dialect}`,
    };
  });
  if (server === undefined) return;
  try {
    if (inputs === undefined) return;
    if (job.method === 'bulk') return checkExport(inputs, server, to);
    const plan = checkTypes(inputs, server, to);
    if (probes) await probeTypes(job, plan, server, to);
    else to.tell('probe', 'skipped', '--no-probe');
  } finally {
    await server.close();
  }
}

/** An export that is begun to try it out would count for the group's day at Epic, so none is. */
function checkExport({ listed }: Inputs, { capability }: Server, to: Teller): void {
  const { referenced, notOffered } = makeExportPlan(listed, capability);
  const lacking = notOffered.length === 0 ? '' : `; not offered: ${notOffered.join(', ')}`;
  const verdict = referenced.length === 0 ? 'problem' : notOffered.length > 0 ? 'warning' : 'ok';
  to.tell('resource types', verdict, `${referenced.length} of ${listed.length} offered${lacking}`);
  to.tell('probe', 'skipped', 'a bulk job: whether the server exports shows when it is asked for an export');
}

function checkTypes({ listed }: Inputs, { capability, dialect }: Server, to: Teller): PullPlan {
  const plan = makePlan(listed, capability, dialect);
  for (const { resourceType, level, what } of problemsOfList(listed, capability, dialect)) {
    to.tell(`type ${resourceType}`, level === 'error' ? 'problem' : 'warning', what);
  }
  const count = plan.searched.length + plan.referenced.length + plan.carried.length;
  to.tell(
    'resource types',
    'ok',
    `${count} of ${listed.length} offered: ${plan.searched.length} by patient, ` +
      `${plan.referenced.length} by reference, ${plan.carried.length} along with others`,
  );
  return plan;
}

/** Asks for one record of each type and filter, of one patient; what comes is not looked at, kept or counted. */
async function probeTypes(job: JobConfig, plan: PullPlan, server: Server, to: Teller): Promise<void> {
  const patient = await to.attempt('probe patient', () => findPatient(job, server, to.signal));
  if (patient === undefined) return;
  let answered = 0;
  for (const type of plan.searched) {
    const trouble = await probeType(type, patient, server, to.signal);
    if (trouble === undefined) answered++;
    else
      to.tell(
        `probe ${type.resourceType}`,
        trouble.isTransient ? 'warning' : 'problem',
        trouble.what,
        trouble.hint,
      );
  }
  to.tell('probe', 'ok', `${answered} of ${plan.searched.length} types answered a search for one record`);
}

async function findPatient(
  job: JobConfig,
  { client }: Server,
  signal: AbortSignal,
): Promise<{ value: string; detail: string }> {
  const { epic_sandbox_roster: roster, mrn_system: mrnSystem } = job.settings.data_sources;
  for await (const { line, patientId, mrn } of readRoster(roster, { badRows: 'skip', signal })) {
    if (patientId !== undefined) return { value: patientId, detail: `roster:${line}` };
    const { page } = await client.search('Patient', [
      ['identifier', mrnSystem ? `${mrnSystem}|${mrn!}` : mrn!],
    ]);
    const found = page.entries.find(({ resourceType }) => resourceType === 'Patient');
    if (found) return { value: found.resourceId, detail: `roster:${line}, found by MRN` };
  }
  throw new RangeError('a roster that was read has a patient');
}

interface Trouble {
  readonly what: string;
  readonly hint: string | undefined;
  readonly isTransient: boolean;
}

async function probeType(
  type: SearchedType,
  patientId: string,
  { client }: Server,
  signal: AbortSignal,
): Promise<Trouble | undefined> {
  const assumed = new Set(type.assumed);
  for (const filter of type.filters) {
    try {
      if (type.how === 'read') await client.read(type.resourceType, patientId);
      else {
        const { verdict } = await client.search(type.resourceType, [
          [type.parameter, patientId],
          ...new URLSearchParams(filter),
          ['_count', '1'],
        ]);
        if (verdict.gap && !assumed.has(filter)) return withheld(verdict.gap, filter);
      }
    } catch (thrown) {
      signal.throwIfAborted();
      const { code, message, hint, failure, epicCode } = asRoundsError(thrown);
      if (code === 'FHIR_PARAMETER_REFUSED' && assumed.has(filter)) continue;
      const isTransient = failure === 'transient';
      return { what: `${code}: ${message}${of(filter)}${epic(epicCode)}`, hint, isTransient };
    }
  }
  return undefined;
}

function withheld({ code, epicCode }: { code: string; epicCode?: string }, filter: string): Trouble {
  return {
    what: `${code}${of(filter)}${epic(epicCode)}`,
    hint: `\`fhir-rounds explain ${epicCode ?? code}\` says what it means.`,
    isTransient: true,
  };
}

const of = (filter: string): string => (filter === '' ? '' : ` (${filter})`);
const epic = (code: string | undefined): string => (code === undefined ? '' : `, Epic ${code}`);
