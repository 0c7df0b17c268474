import { createHash } from 'node:crypto';
import type { StoredResource } from './population/types.ts';
import { WORKING_OBSERVATION_CATEGORIES } from './rules.ts';
import {
  matchesOf,
  planSearch,
  standingRefusal,
  survivorOf,
  type Parameters,
  type SearchContext,
} from './search.ts';

/** A row of a resource list: a type, and the search parameters of one filter. */
export interface OracleRow {
  readonly resource: string;
  readonly query?: string;
}

/** A resource that a perfect client obtains: hash and length of its canonical compact text. */
export interface OracleLine {
  readonly type: string;
  readonly id: string;
  readonly sha256: string;
  readonly bytes: number;
}

/** The rows of a resource list CSV (`resource`, `query`, `enabled`; quoted fields). Rows switched off are left out. */
export function rowsOfList(csv: string): readonly OracleRow[] {
  const [header = [], ...records] = csv
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .filter((line) => line.trim() !== '' && !line.startsWith('#'))
    .map((line) =>
      [...line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)].map(([, quoted, plain]) =>
        (quoted?.replaceAll('""', '"') ?? plain ?? '').trim(),
      ),
    );
  const names = header.map((name) => name.toLowerCase());
  const field = (record: readonly string[], name: string) => record[names.indexOf(name)] ?? '';
  return records
    .filter((record) => !/^(false|no|0|off|n)$/i.test(field(record, 'enabled')))
    .map((record) => ({ resource: field(record, 'resource'), query: field(record, 'query') }))
    .filter((row) => row.resource !== '');
}

const REFERENCE = /^([A-Z][A-Za-z]+)\/([^/?#|]+)(?:\/_history\/[^/]+)?$/;

/** Type and id of every relative or same-base reference, Binary URL and questionnaire in a resource. */
export function referencesIn(
  text: Buffer,
  fhirBase: string,
): { readonly type: string; readonly id: string }[] {
  const found: { type: string; id: string }[] = [];
  const add = (value: string, only?: string) => {
    const relative = value.startsWith(`${fhirBase}/`) ? value.slice(fhirBase.length + 1) : value;
    const [, type, id] =
      REFERENCE.exec(only === 'Questionnaire' ? (relative.split('|')[0] ?? '') : relative) ?? [];
    if (type !== undefined && id !== undefined && (only === undefined || only === type))
      found.push({ type, id });
  };
  const walk = (node: unknown): void => {
    if (Array.isArray(node)) node.forEach(walk);
    else if (typeof node === 'object' && node !== null) {
      for (const [key, value] of Object.entries(node)) {
        if (typeof value !== 'string') walk(value);
        else if (key === 'reference') add(value);
        else if (key === 'url') add(value, 'Binary');
        else if (key === 'questionnaire') add(value, 'Questionnaire');
      }
    }
  };
  walk(JSON.parse(text.toString('utf8')));
  return found;
}

/** The searches of one row: at Epic a bare Observation or CarePlan row is one for each category. */
function searchesOf(context: SearchContext, row: OracleRow): readonly Parameters[] {
  const given: Parameters = [...new URLSearchParams(row.query ?? '')];
  const has = (...names: string[]) => given.some(([name]) => names.includes(name));
  const over = (categories: readonly string[]) =>
    categories.map((category): Parameters => [...given, ['category', category]]);
  if (context.dialect === 'us-core') return [given];
  if (row.resource === 'Observation' && !has('category', 'code')) return over(WORKING_OBSERVATION_CATEGORIES);
  if (row.resource === 'CarePlan' && !has('category')) return over(context.population.carePlanCategories);
  return [given];
}

/**
 * What a perfect client obtains for a resource list, patient by patient, each type and id once: searches by the
 * union of a type's rows, Patient by id, listed types without a patient search by references to a fixpoint,
 * Provenance about what was found. Computed from the population, never through HTTP.
 */
export async function* oracleLines(
  context: SearchContext,
  rows: readonly OracleRow[],
  patientIds?: readonly string[],
): AsyncGenerator<OracleLine> {
  const { population, rules, fhirBase } = context;
  const listed = new Set(rows.map((row) => row.resource));
  const byReference = (type: string) => {
    const access = rules.get(type)?.access;
    return listed.has(type) && (access === 'id' || access === 'reference');
  };
  const provenanceByTarget = listed.has('Provenance') && rules.get('Provenance')?.access === 'read';
  const emittedShared = new Set<string>();
  const visited = new Set<string>();

  function obtainedFor(asked: string, patientId: string): Map<string, StoredResource> {
    const obtained = new Map<string, StoredResource>();
    const key = (resource: StoredResource) => `${resource.type}/${resource.id}`;
    const add = (resource: StoredResource) => obtained.set(key(resource), resource);
    const patient = population.read('Patient', patientId);
    if (listed.has('Patient') && patient) add(patient);
    const withProvenance = new Set<StoredResource>();
    for (const row of rows) {
      if (row.resource === 'Patient' || rules.get(row.resource)?.access !== 'patient') continue;
      const name = row.resource === 'AdverseEvent' ? 'subject' : 'patient';
      for (const parameters of searchesOf(context, row)) {
        const decision = planSearch(context, row.resource, [...parameters, [name, asked]], false);
        if (decision.kind === 'refused') continue;
        for (const match of matchesOf(context, decision.plan)) {
          add(match);
          if (decision.plan.withProvenance) withProvenance.add(match);
        }
      }
    }
    for (const resource of provenanceByTarget ? [...obtained.values()] : withProvenance) {
      population.provenanceOf(resource).forEach(add);
    }
    // A Map is walked in order of insertion, so what a reference adds is followed in its turn.
    for (const resource of obtained.values()) {
      for (const { type, id } of referencesIn(resource.text, fhirBase)) {
        if (!byReference(type) || obtained.has(`${type}/${id}`)) continue;
        const target = population.read(type, id);
        if (target && !target.patients.some((owner) => standingRefusal(population, owner))) add(target);
      }
    }
    return obtained;
  }

  for (const asked of patientIds ?? population.patientIds()) {
    const standing = population.standing(asked);
    if (standing === undefined || standingRefusal(population, asked)) continue;
    // Of a whole population the survivor comes by itself.
    if (standing.kind === 'merged' && patientIds === undefined) continue;
    const patientId = survivorOf(population, asked);
    if (patientIds !== undefined) {
      if (visited.has(patientId)) continue;
      visited.add(patientId);
    }
    for (const [key, resource] of obtainedFor(asked, patientId)) {
      const isOwn = resource.patients.length === 1 && resource.patients[0] === patientId;
      if (!isOwn) {
        if (emittedShared.has(key)) continue;
        emittedShared.add(key);
      }
      const sha256 = createHash('sha256').update(resource.text).digest('hex');
      yield { type: resource.type, id: resource.id, sha256, bytes: resource.text.length };
    }
  }
}
