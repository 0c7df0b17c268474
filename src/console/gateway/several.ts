import { asRoundsError } from '../../errors.ts';
import { isJsonObject, parseJson, textOf } from '../../fhir/jsonBytes.ts';
import { readRoster } from '../../inputs/patientRoster.ts';
import { readResourceList } from '../../inputs/resourceList.ts';
import { makePlan } from '../../run/plan.ts';
import type { Server } from '../../run/deps.ts';
import { integer, operationsIn, type Operation } from '../api/operation.ts';
import type { Answer } from '../exchange.ts';
import type { Site } from '../site.ts';
import { useOf } from './fhirOperations.ts';
import { PATIENT_ID } from './fhirTable.ts';
import { demandAllowed, tellOf, type GatewayDeps } from './gateway.ts';
import type { Use } from './guard.ts';
import { JOB } from './job.ts';
import { checkQuestion, relativeUrl, type Question } from './question.ts';

/** Operations that ask several questions and answer with one Bundle, each answer's bytes within. */
export function operationsOfSeveral(site: Site, deps: GatewayDeps): readonly Operation[] {
  const operation = operationsIn('FHIR server');
  return [
    operation(
      'readComprehensive',
      '/fhir/patient/{id}/comprehensive',
      'Answers',
      'A patient with the first page of every type of the job’s list',
      {
        text: 'Types and filters are those of the resource list that are searched by patient.',
        parameters: [
          PATIENT_ID,
          integer('_count', 'Resources of each type, at most.', {
            default: '20',
            minimum: 1,
            maximum: 1_000,
          }),
          JOB,
        ],
        patientId: (input) => input.text('id'),
        answer: async (input, asked) => {
          const use = useOf(site, input, asked, '/fhir/patient/{id}/comprehensive');
          const patientId = input.given('id');
          const patient: Question = { kind: 'read', resourceType: 'Patient', resourceId: patientId };
          checkQuestion(patient);
          await demandAllowed(deps, use, patient, asked.signal);
          return deps.connections.use(use.job, async (server) => {
            const questions = await questionsOf(use, server, patientId, input.given('_count'));
            const entries = await entriesOf(deps, use, [patient, ...questions], server, asked.signal);
            await deps.audit(use, [patientId], 200);
            return bundleOf(entries);
          });
        },
      },
    ),
    operation('browsePatients', '/fhir/patients/browse', 'Answers', 'The patients of the job’s roster', {
      text: 'Rows with a fhir_id, in the order of the roster.',
      parameters: [
        integer('offset', 'Rows of the roster before the first.', {
          default: '0',
          minimum: 0,
          maximum: 100_000_000,
        }),
        integer('limit', 'Patients, at most.', { default: '10', minimum: 1, maximum: 50 }),
        JOB,
      ],
      answer: async (input, asked) => {
        const use = useOf(site, input, asked, '/fhir/patients/browse');
        const ids = await rosterIds(use, input.number('offset'), input.number('limit'), asked.signal);
        return deps.connections.use(use.job, async (server) => {
          const questions = ids.map((resourceId): Question => ({
            kind: 'read',
            resourceType: 'Patient',
            resourceId,
          }));
          const entries = await entriesOf(deps, use, questions, server, asked.signal);
          await deps.audit(use, ids, 200);
          return bundleOf(entries);
        });
      },
    }),
  ];
}

/** One search for each type of the list and each of its filters. */
async function questionsOf(
  { job }: Use,
  { capability, dialect }: Server,
  patientId: string,
  count: string,
): Promise<readonly Question[]> {
  const listed = await readResourceList(job.settings.data_sources.epic_sandbox_resources);
  return makePlan(listed, capability, dialect)
    .searched.filter(({ how }) => how === 'search')
    .flatMap(({ resourceType, parameter, filters }) =>
      filters.map((filter): Question => ({
        kind: 'search',
        resourceType,
        parameters: [[parameter, patientId], ...new URLSearchParams(filter), ['_count', count]],
      })),
    );
}

async function rosterIds(
  { job }: Use,
  offset: number,
  limit: number,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const ids: string[] = [];
  let row = 0;
  const file = job.settings.data_sources.epic_sandbox_roster;
  for await (const { patientId } of readRoster(file, { badRows: 'skip', signal })) {
    if (row++ < offset || patientId === undefined) continue;
    ids.push(patientId);
    if (ids.length === limit) break;
  }
  return ids;
}

interface Entry {
  readonly url: string;
  readonly status: string;
  readonly resource: Buffer;
}

/** Asks one after the other: a person looks, and the server has others to serve. */
async function entriesOf(
  deps: GatewayDeps,
  use: Use,
  questions: readonly Question[],
  server: Server,
  signal: AbortSignal,
): Promise<readonly Entry[]> {
  const entries: Entry[] = [];
  for (const question of questions) {
    const url = relativeUrl(question);
    try {
      const { response } = await tellOf(deps, use, question, server, signal);
      if (!isJsonObject(parseJson(response.body))) throw new TypeError('no resource');
      entries.push({ url, status: String(response.status), resource: textOf(response.body) });
    } catch (thrown) {
      signal.throwIfAborted();
      entries.push({ url, status: '502', resource: outcomeOf(thrown) });
    }
  }
  return entries;
}

function outcomeOf(thrown: unknown): Buffer {
  const { code, message, hint } = asRoundsError(thrown);
  const system = 'https://fhir-rounds.invalid/StructureDefinition/code';
  return Buffer.from(
    JSON.stringify({
      resourceType: 'OperationOutcome',
      issue: [
        {
          ...{ severity: 'error', code: 'exception' },
          details: { coding: [{ system, code }], text: message },
          diagnostics: hint,
        },
      ],
    }),
  );
}

/** FHIR R4, Bundle.type batch-response. The answers stand in it with their own bytes. */
function bundleOf(entries: readonly Entry[]): Answer {
  const parts: (string | Buffer)[] = ['{"resourceType":"Bundle","type":"batch-response","entry":['];
  for (const [index, { url, status, resource }] of entries.entries()) {
    const link = JSON.stringify([{ relation: 'self', url }]);
    parts.push(`${index === 0 ? '' : ','}{"link":${link},"resource":`, resource);
    parts.push(`,"response":{"status":"${status}"}}`);
  }
  parts.push(']}\n');
  const body = Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part)));
  return { status: 200, contentType: 'application/fhir+json; charset=utf-8', body };
}
