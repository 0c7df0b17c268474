import { issueOf, type OutcomeIssue } from '../outcomes.ts';
import { relativeReference } from '../parameterMatch.ts';
import { scopeAllows } from '../scopes.ts';
import { standingRefusal, type Parameters, type SearchContext } from '../search.ts';
import { isElement, type Elements } from './elements.ts';
import { EXPORT_PARAMETERS, type BulkSettings } from './options.ts';
import { queriesOf, typeFilterOf, type TypeFilter } from './typeFilter.ts';

export type ExportLevel = 'system' | 'patient' | 'group';

/** Where a kick-off was sent, by whom, and in which temper it is to be read. */
export interface KickoffTarget {
  readonly level: ExportLevel;
  readonly groupId: string | undefined;
  readonly method: 'GET' | 'POST';
  /** `Prefer: handling=lenient`: what is wrong is ignored and said in the manifest's `error`. */
  readonly lenient: boolean;
  /** The granted scopes. */
  readonly scope: string;
}

/** A kick-off understood and allowed. */
export interface KickoffRequest {
  readonly level: ExportLevel;
  readonly groupId: string | undefined;
  /** Undefined: all that the scopes allow. */
  readonly types: readonly string[] | undefined;
  readonly sinceMs: number | undefined;
  readonly untilMs: number | undefined;
  readonly elements: Elements | undefined;
  readonly filters: readonly TypeFilter[];
  /** Undefined: every patient of the level. */
  readonly patients: readonly string[] | undefined;
  readonly provenance: 'latest' | 'relevant' | undefined;
  readonly organizedByPatient: boolean;
  readonly allowPartialManifests: boolean;
  readonly scope: string;
  /** What `handling=lenient` passed over. */
  readonly ignored: readonly string[];
}

export type KickoffDecision =
  | { readonly kind: 'request'; readonly request: KickoffRequest }
  | { readonly kind: 'refused'; readonly status: number; readonly issues: readonly OutcomeIssue[] };

/** Parameters that may stand there once. */
const SINGLE = ['_outputFormat', '_since', '_until', 'organizeOutputBy', 'allowPartialManifests'];
const FORMATS = ['application/fhir+ndjson', 'application/ndjson', 'ndjson'];
const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/;

/** What a kick-off is checked against. */
export interface KickoffContext {
  readonly context: SearchContext;
  readonly settings: BulkSettings;
  /** The group's patients, or all; undefined for a group that is not there. */
  readonly members: (
    level: ExportLevel,
    groupId: string | undefined,
  ) => { has(patientId: string): boolean } | undefined;
}

/** Understands the parameters of a kick-off (Bulk Data Access 3.0.0, "Query Parameters"). */
export function kickoffRequest(
  { context, settings, members }: KickoffContext,
  target: KickoffTarget,
  given: Parameters,
): KickoffDecision {
  const { rules, population, fhirBase, dialect } = context;
  const issues: OutcomeIssue[] = [];
  const ignored: string[] = [];
  let status = 400;
  const wrong = (text: string, epicCode = '59102') => {
    if (target.lenient) ignored.push(text);
    else issues.push({ ...issueOf(epicCode, text), severity: 'error' });
  };
  const group = members(target.level, target.groupId);
  if (!group) {
    return { kind: 'refused', status: 404, issues: [issueOf('4102', 'There is no such Group.')] };
  }

  const values = new Map<string, string[]>();
  for (const [name, value] of given) {
    if (!(EXPORT_PARAMETERS as readonly string[]).includes(name)) wrong(`unknown parameter ${name}`, '59109');
    else if (settings.unsupported.includes(name)) wrong(`the parameter ${name} is not supported`, '59109');
    else if (name === 'patient' && (target.method === 'GET' || target.level === 'system')) {
      wrong('patient is for POST requests at patient and group level', '59109');
    } else if (SINGLE.includes(name) && values.has(name)) wrong(`${name} is given twice`);
    else values.set(name, [...(values.get(name) ?? []), value]);
  }
  const all = (name: string) => values.get(name) ?? [];
  const listed = (name: string) => all(name).flatMap((value) => value.split(','));
  const first = (name: string) => all(name)[0];

  const format = first('_outputFormat');
  if (format !== undefined && !FORMATS.includes(format)) wrong('_outputFormat is not supported');
  const instant = (name: string): number | undefined => {
    const text = first(name);
    if (text === undefined) return undefined;
    const ms = INSTANT.test(text) ? Date.parse(text) : NaN;
    if (!Number.isNaN(ms)) return ms;
    wrong(`${name} is not an instant`, '59111');
    return undefined;
  };
  const sinceMs = instant('_since');
  const untilMs = instant('_until');

  const known = (type: string) => {
    const isKnown = rules.has(type);
    const isGranted = isKnown && scopeAllows(target.scope, type, 'read');
    if (!isKnown) wrong(`_type names ${type}, which is not supported`);
    else if (!isGranted) {
      if (!target.lenient) status = 403;
      wrong(`_type names ${type}, which the granted scopes do not reach`, '4118');
    }
    return isGranted;
  };
  const asked = [...new Set(listed('_type'))];
  const types = values.has('_type') ? asked.filter(known) : undefined;
  const isOfPatients = (type: string) =>
    rules.get(type)?.access === 'patient' || ['Binary', 'Provenance'].includes(type);
  if (types && types.length > 0 && target.level !== 'system' && !types.some(isOfPatients)) {
    wrong('_type names only types outside the patient compartment');
  }

  const names = listed('_elements').filter((name) => {
    if (!isElement(name)) wrong('_elements holds what is no root element');
    return isElement(name);
  });

  const filters: TypeFilter[] = [];
  if (dialect === 'epic' && values.has('_typeFilter') && types === undefined) {
    wrong('_typeFilter needs _type', '4115');
    values.delete('_typeFilter');
  }
  for (const query of all('_typeFilter').flatMap((value) => queriesOf(value, context))) {
    const decision = typeFilterOf(query, context);
    if (decision.kind === 'refused') wrong(decision.why);
    else if (types && !types.includes(decision.filter.type)) wrong('_typeFilter names a type not in _type');
    else filters.push(decision.filter);
  }

  const patients = all('patient').flatMap((reference) => {
    const [type, id, ...more] = relativeReference(reference, fhirBase).split('/');
    const isThere =
      type === 'Patient' && id !== undefined && more.length === 0 && population.standing(id) !== undefined;
    if (isThere && group.has(id) && !standingRefusal(population, id)) return [id];
    wrong('a patient is not on this server or not in the group');
    return [];
  });

  let provenance: KickoffRequest['provenance'];
  for (const value of listed('includeAssociatedData')) {
    // Of conflicting values the one that returns more holds.
    if (value === 'RelevantProvenanceResources') provenance = 'relevant';
    else if (value === 'LatestProvenanceResources') provenance ??= 'latest';
    else wrong('includeAssociatedData has a value that is not supported');
  }
  const organizeBy = first('organizeOutputBy');
  if (organizeBy !== undefined && organizeBy !== 'Patient')
    wrong('organizeOutputBy is supported for Patient');
  const partial = first('allowPartialManifests');
  if (partial !== undefined && !/^(true|false)$/.test(partial)) wrong('allowPartialManifests is no boolean');

  // Ignoring all of a restriction would send what nobody asked for.
  const isEmpty = types?.length === 0 || (values.has('patient') && patients.length === 0);
  if (isEmpty && issues.length === 0) issues.push(issueOf('59102', 'Nothing of what was asked for is here.'));
  if (issues.length > 0) return { kind: 'refused', status, issues };
  return {
    kind: 'request',
    request: {
      level: target.level,
      groupId: target.groupId,
      types,
      sinceMs,
      untilMs,
      elements: names.length > 0 ? { names } : undefined,
      filters,
      patients: values.has('patient') ? [...new Set(patients)] : undefined,
      provenance,
      organizedByPatient: organizeBy === 'Patient',
      allowPartialManifests: partial === 'true',
      scope: target.scope,
      ignored,
    },
  };
}
