import { RoundsError } from '../../errors.ts';
import { failureOf } from '../../fhir/outcome.ts';
import { belongsTo, referenceReader, type ResourceReferences } from '../../fhir/references.ts';
import { readResource, readSearchset, type ExactResource } from '../../fhir/searchset.ts';
import type { Server } from '../../run/deps.ts';
import type { Clock } from '../../system/clock.ts';
import type { HttpResponse } from '../../system/http.ts';
import type { Answer, Ask } from '../exchange.ts';
import type { Connections } from './connections.ts';
import { demandOnRoster, refused, thoseOnRoster, type Audit, type Use } from './guard.ts';
import { headerText, hintOf } from './hint.ts';
import {
  checkQuestion,
  demandFilter,
  demandNarrow,
  patientAsked,
  relativeUrl,
  WITHOUT_PATIENT,
  type Question,
} from './question.ts';

export interface GatewayDeps {
  readonly connections: Connections;
  readonly audit: Audit;
  readonly clock: Clock;
}

/** What the server said, and whose record it is as far as that is known. */
export interface Told {
  readonly response: HttpResponse;
  readonly patientIds: ReadonlySet<string>;
}

/** A person waits for it. */
const TIMEOUT_MS = 60_000;
const MAX_BYTES = 32 * 1024 * 1024;

/**
 * Asks the FHIR server one question and hands its answer on as it came: status, FHIR content type and bytes; never its
 * other headers, and never the token. Each use stands in the audit file before its answer goes out. Throws what
 * `checkQuestion`, `demandNarrow`, `demandOnRoster` and `demandFilter` do, and what connecting and asking throw.
 */
export async function askServer(
  deps: GatewayDeps,
  use: Use,
  question: Question,
  { signal }: Ask,
): Promise<Answer> {
  checkQuestion(question);
  await demandAllowed(deps, use, question, signal);
  return deps.connections.use(use.job, async (server) => {
    demandFilter(question, server);
    const { response, patientIds } = await tellOf(deps, use, question, server, signal);
    await deps.audit(use, patientIds, response.status);
    return answerOf(response, server, question);
  });
}

/** Before anything is asked. */
export async function demandAllowed(
  { audit }: Pick<GatewayDeps, 'audit'>,
  use: Use,
  question: Question,
  signal: AbortSignal,
): Promise<void> {
  if (use.mode === 'open') return;
  demandNarrow(question);
  const patientId = patientAsked(question);
  if (patientId !== undefined) await demandOnRoster(audit, use, new Set([patientId]), signal);
}

/** Asks, and looks at the answer. Not audited yet but where it is refused. */
export async function tellOf(
  deps: Pick<GatewayDeps, 'audit' | 'clock'>,
  use: Use,
  question: Question,
  server: Server,
  signal: AbortSignal,
): Promise<Told> {
  signal.throwIfAborted();
  const { urlPolicy, client } = server;
  const url = urlPolicy.next(relativeUrl(question), `${urlPolicy.base}/`).href;
  const response = await client.exchange({ method: 'GET', url, timeoutMs: TIMEOUT_MS, maxBytes: MAX_BYTES });
  if (response.status < 200 || (response.status >= 300 && response.status < 400)) {
    throw new RoundsError(
      'URL_REFUSED',
      `the server answered ${response.status}: it sends the question elsewhere`,
    );
  }
  const patientId = patientAsked(question);
  const patientIds = patientId === undefined ? patientsOf(question, response, server) : new Set([patientId]);
  const told = { response, patientIds };
  if (use.mode === 'roster') {
    try {
      await demandShowable(deps.clock, use, question, told, server, signal);
    } catch (error) {
      await deps.audit(use, patientIds, undefined);
      throw error;
    }
  }
  return told;
}

/** Whom a resource that was read by its id is about: its patients, else all that it names. */
function patientsOf(question: Question, { status, body }: HttpResponse, server: Server): ReadonlySet<string> {
  if (question.kind !== 'read' || status !== 200) return new Set();
  try {
    const { subjectPatients, patients } = referenceReader(server.urlPolicy.base)(readResource(body));
    return subjectPatients.size > 0 ? subjectPatients : patients;
  } catch {
    // What is no resource belongs to nobody, and is refused where that matters.
    return new Set();
  }
}

/** Towards production: throws unless what came is a record of the roster's patients, or of nobody. */
async function demandShowable(
  clock: Clock,
  use: Use,
  question: Question,
  { response, patientIds }: Told,
  server: Server,
  signal: AbortSignal,
): Promise<void> {
  const { status, body, headers } = response;
  const patientId = patientAsked(question);
  if (status !== 200) {
    if (patientId !== undefined || WITHOUT_PATIENT.has(question.resourceType)) return;
    // Of nobody knows whom, the server's own words stay here.
    const { code, message, hint, epicCode } = failureOf(status, body, headers, clock.now());
    throw new RoundsError(code, message, {
      ...{ status, hint: hintOf(status, body) ?? hint },
      ...(epicCode === undefined ? {} : { epicCode }),
    });
  }
  if (question.kind === 'search') {
    demandOwnEntries(readSearchset(body).entries, patientId, server);
    return;
  }
  const resource = readResource(body);
  const { resourceType } = resource;
  if (patientId !== undefined && resourceType === 'Patient') return;
  if (patientIds.size === 0 && WITHOUT_PATIENT.has(resourceType) && resourceType === question.resourceType)
    return;
  const listed = await thoseOnRoster(use.job, patientIds, signal);
  const { subjectPatients } = referenceReader(server.urlPolicy.base)(resource);
  // Of what is about several, as an appointment, one will do; what only lists them, as a Group, shows them all.
  if (listed.size > 0 && (subjectPatients.size > 0 || listed.size === patientIds.size)) return;
  throw refused(
    patientIds.size === 0
      ? 'this resource does not say whose it is'
      : 'this is the record of a patient who is not on the roster',
    'Towards production the gateway shows records of the roster’s patients alone.',
  );
}

function demandOwnEntries(
  entries: readonly ExactResource[],
  patientId: string | undefined,
  server: Server,
): void {
  const referencesOf = referenceReader(server.urlPolicy.base);
  for (const entry of entries) {
    const references = referencesOf(entry);
    const isForeign =
      patientId === undefined
        ? references.patients.size > 0 || !WITHOUT_PATIENT.has(entry.resourceType)
        : belongsTo(references, patientId) === 'foreign' || isListOfPatients(references);
    if (!isForeign) continue;
    throw new RoundsError(
      'FHIR_FOREIGN_PATIENT',
      'the answer holds another patient’s record, and is not shown',
      {
        hint: 'Where the patient was merged into another at the server, put the new id into the roster.',
      },
    );
  }
}

/** A Group, a List: about nobody, and it names several. */
function isListOfPatients({ subjectPatients, patients }: ResourceReferences): boolean {
  return subjectPatients.size === 0 && patients.size > 1;
}

const FHIR_JSON = /^application\/(?:fhir\+)?json\s*(?:;\s*charset="?utf-8"?\s*)?$/i;

/**
 * Beside the answer stand three headers of ours: which server was asked, what it was asked, and what its Epic code means.
 * What is no FHIR JSON, such as a proxy's page, is a file to a browser, and never a page of the console.
 */
function answerOf(
  { status, headers, body }: HttpResponse,
  { urlPolicy }: Server,
  question: Question,
): Answer {
  const contentType = headers['content-type'] ?? '';
  const isJson = FHIR_JSON.test(contentType);
  const hint = status === 401 ? undefined : hintOf(status, body);
  return {
    status,
    contentType: isJson ? contentType : 'application/octet-stream',
    headers: {
      'x-rounds-server': new URL(urlPolicy.base).host,
      'x-rounds-asked': relativeUrl(question),
      ...(hint === undefined ? {} : { 'x-rounds-hint': headerText(hint) }),
      ...(isJson ? {} : { 'content-disposition': 'attachment; filename="answer"' }),
    },
    body,
  };
}
