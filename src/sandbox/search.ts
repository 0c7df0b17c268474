import { issueOf, type OutcomeIssue } from './outcomes.ts';
import { matchesParameter, parseDateParameter, relativeReference } from './parameterMatch.ts';
import type { Population, StoredResource } from './population/types.ts';
import {
  PATIENT_PARAMETERS,
  REFUSED_OBSERVATION_CATEGORIES,
  type Dialect,
  type ParameterRule,
  type TypeRule,
} from './rules.ts';

/** What a search is evaluated against. */
export interface SearchContext {
  readonly dialect: Dialect;
  readonly fhirBase: string;
  readonly population: Population;
  readonly rules: ReadonlyMap<string, TypeRule>;
  /** The server's cap on `_count`. */
  readonly maxPageSize: number;
}

export type Parameters = readonly (readonly [name: string, value: string])[];

/** A search understood and allowed. */
export interface SearchPlan {
  readonly type: string;
  /** The patient asked for, as given (a merged id stays the old one). */
  readonly patientId: string | undefined;
  readonly ids: readonly string[] | undefined;
  readonly identifiers: readonly string[];
  readonly filters: readonly { readonly rule: ParameterRule; readonly wanted: string }[];
  readonly pageSize: number;
  readonly withProvenance: boolean;
  readonly includes: readonly ParameterRule[];
  /** Outcome entries that go with the first page. */
  readonly warnings: readonly OutcomeIssue[];
}

/** The server's refusal of a request. */
export interface Refusal {
  readonly status: number;
  readonly issues: readonly OutcomeIssue[];
}

export type SearchDecision =
  | { readonly kind: 'plan'; readonly plan: SearchPlan }
  | { readonly kind: 'refused'; readonly refusal: Refusal };

const DEFAULT_PAGE_SIZE = 100;
const DEMOGRAPHICS = ['family', 'given', 'name', 'birthdate', 'gender'];
/** Demographic searches look at so many patients from the first on: a generated population has no name index. */
const DEMOGRAPHIC_SCAN = 5_000;

function refuse(status: number, epicCode: string, diagnostics: string): SearchDecision {
  return { kind: 'refused', refusal: { status, issues: [issueOf(epicCode, diagnostics)] } };
}

/** Whether a patient may be asked about at all. Undefined: yes. */
export function standingRefusal(population: Population, patientId: string): Refusal | undefined {
  const standing = population.standing(patientId);
  if (standing?.kind === 'deleted') return { status: 410, issues: [issueOf('4103')] };
  if (standing?.kind === 'break-the-glass') return { status: 403, issues: [issueOf('4134')] };
  return undefined;
}

/**
 * Understands a search as the dialect's server would: parameters known and allowed, required ones present.
 * `strict` is `Prefer: handling=strict` (FHIR R4, section 3.1.1.7): an unknown parameter is then refused.
 */
export function planSearch(
  context: SearchContext,
  type: string,
  given: Parameters,
  strict: boolean,
): SearchDecision {
  const { dialect, fhirBase, rules, maxPageSize, population } = context;
  const rule = rules.get(type);
  if (!rule) return refuse(404, '59100', 'The resource type is not supported.');
  if (rule.access === 'read') return refuse(400, '59100', 'The resource type does not support search.');

  let patientId: string | undefined;
  let ids: string[] | undefined;
  let pageSize = Math.min(DEFAULT_PAGE_SIZE, maxPageSize);
  let withProvenance = false;
  const identifiers: string[] = [];
  const includes: ParameterRule[] = [];
  const filters: { rule: ParameterRule; wanted: string }[] = [];
  const warnings: OutcomeIssue[] = [];
  const unknown = (name: string) =>
    warnings.push(issueOf('59109', `Unknown query parameter ignored: ${name}`));

  for (const [name, value] of given) {
    const parameter = rule.parameters.find((candidate) => candidate.name === name);
    if (name === '_id') {
      const asked = value.split(',').filter((id) => id !== '');
      ids = ids ? ids.filter((id) => asked.includes(id)) : asked;
    } else if (name === '_count') {
      if (!/^[1-9]\d{0,8}$/.test(value)) return refuse(400, '4100', '_count must be a positive integer.');
      pageSize = Math.min(Number(value), maxPageSize);
    } else if (name === '_revinclude') {
      if (value === 'Provenance:target') withProvenance = true;
      else unknown(`_revinclude=${value}`);
    } else if (name === '_include') {
      const [source, path] = value.split(':');
      const target = rule.parameters.find((p) => p.name === path && p.kind === 'reference');
      if (source === type && target) includes.push(target);
      else unknown(`_include=${value}`);
    } else if (name === '_lastUpdated') {
      if (dialect === 'epic') return refuse(400, '59102', '_lastUpdated is not supported.');
      filters.push({ rule: { name, kind: 'date', paths: ['meta.lastUpdated'] }, wanted: value });
    } else if (name.startsWith('_format') || name === '_pretty') {
      // JSON is what there is; the layout is the server's own.
    } else if (!parameter) {
      unknown(name);
    } else if ((PATIENT_PARAMETERS as readonly string[]).includes(name)) {
      const [target, id, ...more] = relativeReference(value, fhirBase, 'Patient').split('/');
      if (target !== 'Patient' || id === undefined || id === '' || more.length > 0 || value.includes(',')) {
        return refuse(400, '4100', `The value of ${name} is not a patient.`);
      }
      if (patientId !== undefined && patientId !== id) return refuse(400, '4100', 'Two patients were given.');
      patientId = id;
    } else {
      if (value === '') return refuse(400, '4100', `${name} has no value.`);
      if (parameter.kind === 'date' && value.split(',').some((part) => !parseDateParameter(part))) {
        return refuse(400, '59111', `${name} is not a valid date.`);
      }
      if (name === 'identifier') identifiers.push(value);
      filters.push({ rule: parameter, wanted: value });
    }
  }
  if (strict && warnings.length > 0) return { kind: 'refused', refusal: { status: 400, issues: warnings } };

  const named = (...names: string[]) => filters.some((filter) => names.includes(filter.rule.name));
  if (dialect === 'epic' && type === 'Observation') {
    const asked = filters.filter((f) => f.rule.name === 'category').flatMap((f) => f.wanted.split(','));
    const refused = asked.find((c) => REFUSED_OBSERVATION_CATEGORIES.includes(c.slice(c.indexOf('|') + 1)));
    if (refused !== undefined) return refuse(400, '59102', 'This Observation category is not supported.');
  }
  const missing = (): SearchDecision | undefined => {
    if (given.length === 0) return refuse(400, '4110', 'No parameters were given.');
    if (ids !== undefined) return undefined;
    // The other parameters of Location, Practitioner ... find nothing here: they are reached by reference.
    if (rule.access !== 'patient') return refuse(400, '4115', 'This type is searched by _id.');
    if (type === 'Patient') {
      return identifiers.length > 0 || named(...DEMOGRAPHICS)
        ? undefined
        : refuse(400, '4115', 'Demographics, identifier or _id is required.');
    }
    if (patientId === undefined) return refuse(400, '4115', 'A patient is required.');
    if (rule.requiresOneOf.length > 0 && !named(...rule.requiresOneOf)) {
      return refuse(400, rule.missingCode, `One of these is required: ${rule.requiresOneOf.join(', ')}.`);
    }
    return undefined;
  };
  const refusal = missing();
  if (refusal) return refusal;

  const asked = type === 'Patient' && ids?.length === 1 ? ids[0] : patientId;
  if (asked !== undefined) {
    const denied = standingRefusal(population, asked);
    if (denied) return { kind: 'refused', refusal: denied };
    const standing = population.standing(asked);
    if (standing?.kind === 'merged') warnings.push(issueOf('4107', 'The patient was merged into another.'));
    if (standing?.kind === 'partial') warnings.push(issueOf('59204'));
  }
  return {
    kind: 'plan',
    plan: { type, patientId, ids, identifiers, filters, pageSize, withProvenance, includes, warnings },
  };
}

function candidates(context: SearchContext, plan: SearchPlan): readonly StoredResource[] {
  const { population } = context;
  if (plan.ids !== undefined) {
    const found = new Map<string, StoredResource>();
    for (const id of plan.ids) {
      const resource = population.read(plan.type, id);
      // A list leaves out, without a word, what may not be seen.
      const hidden = [id, ...(resource?.patients ?? [])].some(
        (p) => standingRefusal(population, p) !== undefined,
      );
      if (resource && !hidden) found.set(resource.id, resource);
    }
    const survivor = plan.patientId === undefined ? undefined : survivorOf(population, plan.patientId);
    return [...found.values()].filter((r) => survivor === undefined || r.patients.includes(survivor));
  }
  if (plan.type === 'Patient') {
    if (plan.identifiers.length > 0) return patientsByIdentifiers(population, plan.identifiers);
    const scanned: StoredResource[] = [];
    let looked = 0;
    for (const id of population.patientIds()) {
      if ((looked += 1) > DEMOGRAPHIC_SCAN) break;
      if (population.standing(id)?.kind !== 'present') continue;
      const patient = population.read('Patient', id);
      if (patient) scanned.push(patient);
    }
    return scanned;
  }
  return plan.patientId === undefined ? [] : population.compartment(plan.patientId, plan.type);
}

function patientsByIdentifiers(population: Population, identifiers: readonly string[]): StoredResource[] {
  const found = new Map<string, StoredResource>();
  for (const token of identifiers.flatMap((value) => value.split(','))) {
    const bar = token.indexOf('|');
    const system = bar <= 0 ? undefined : token.slice(0, bar);
    for (const patient of population.patientsByIdentifier(system, token.slice(bar + 1))) {
      if (!standingRefusal(population, patient.id)) found.set(patient.id, patient);
    }
  }
  return [...found.values()];
}

/** The id under which a patient's record is kept. */
export function survivorOf(population: Population, patientId: string): string {
  const standing = population.standing(patientId);
  return standing?.kind === 'merged' ? standing.survivor : patientId;
}

/** Every resource that a plan matches, in a fixed order. */
export function matchesOf(context: SearchContext, plan: SearchPlan): readonly StoredResource[] {
  // Identifiers of a patient were looked up in an index; a merged MRN need not stand in the survivor.
  const filters =
    plan.type === 'Patient' ? plan.filters.filter((f) => f.rule.name !== 'identifier') : plan.filters;
  const found = candidates(context, plan);
  if (filters.length === 0) return found;
  return found.filter((resource) => {
    const parsed: unknown = JSON.parse(resource.text.toString('utf8'));
    return filters.every(({ rule, wanted }) => matchesParameter(parsed, rule, wanted, context.fhirBase));
  });
}
