import type { Capability } from './capability.ts';
import { PATIENT_COMPARTMENT, type PatientParameter } from './patientCompartment.ts';

/**
 * How each listed type is reached: what the server's CapabilityStatement offers, and what Epic asks for beyond
 * what its statement says.
 */

/** All rows of the list for one type; `''` is a row without `query`. */
export interface ListedType {
  readonly resourceType: string;
  readonly queries: readonly string[];
}

export type Reach =
  /** By id: the Patient itself. */
  | { readonly how: 'read' }
  /** One search a patient, made of one request for each filter; the filter `''` adds nothing. */
  | {
      readonly how: 'search';
      readonly parameter: PatientParameter;
      readonly filters: readonly string[];
      /** Those of the filters that the list did not ask for: one that a site refuses is no gap. */
      readonly assumed: readonly string[];
    }
  /** Not by patient: fetched where other resources refer to it, in groups by `_id` or one by one. */
  | { readonly how: 'reference'; readonly byIdSearch: boolean }
  /** Provenance: comes along with the searches of `provenanceCarriers`. */
  | { readonly how: 'revinclude' }
  | { readonly how: 'notOffered' };

/** What the server is like beyond its CapabilityStatement. */
export type Dialect = 'epic' | 'plain';

interface EpicRule {
  /** One of these parameters must be in every search. */
  readonly needs: readonly string[];
  /** What a search without any of them becomes; none known: the list has to say. */
  readonly filters: readonly string[];
  /** Filters that are surely refused, with what to do instead. */
  readonly refuses?: readonly string[];
}

const PROVENANCE_REVINCLUDE = 'Provenance:target';

/**
 * What Epic requires by type. A parameter that names records (`_id`) makes up for any filter.
 * - Observation: `category` or `code`, else 59108; the categories below work, `procedure`, `therapy` and
 *   `activity` are refused (H). Others exist (core-characteristics, LDA, sdoh ...): list them where wanted.
 * - CarePlan: `category` (H); 38717003 is the longitudinal plan, 734163000 the encounter-level one (M), 736271009
 *   and 736378000 are outpatient and medication plans that some sites have (L).
 * - EpisodeOfCare: `type` (H); its codes are the site's own.
 */
const EPIC_RULES: ReadonlyMap<string, EpicRule> = new Map<string, EpicRule>([
  [
    'Observation',
    {
      needs: ['category', 'code'],
      filters: ['social-history', 'vital-signs', 'imaging', 'laboratory', 'survey', 'exam'].map(
        (category) => `category=${category}`,
      ),
      refuses: ['category=procedure', 'category=therapy', 'category=activity'],
    },
  ],
  [
    'CarePlan',
    {
      needs: ['category'],
      filters: ['38717003', '734163000', '736271009', '736378000'].map((category) => `category=${category}`),
    },
  ],
  ['EpisodeOfCare', { needs: ['type'], filters: [] }],
]);

/**
 * Whether Epic's rules apply: by the software's name (H); only where the statement names none, by the path that
 * every Epic server has, `/api/FHIR/R4` (H). Epic's categories asked of another server would leave out, unseen,
 * what has none of them.
 * @param fhirBase the configured base, where the statement does not tell
 */
export function dialectOf(capability: Capability, fhirBase?: string): Dialect {
  const name = capability.software?.name;
  if (name !== undefined && name !== '') return /\bepic\b/i.test(name) ? 'epic' : 'plain';
  return fhirBase !== undefined && /\/api\/FHIR\/R4\/?$/i.test(fhirBase) ? 'epic' : 'plain';
}

/** How `listed` is pulled from this server. Never fails: what stands in the way is told by `problemsOfList`. */
export function reachOf(
  listed: ListedType,
  capability: Capability,
  dialect: Dialect = dialectOf(capability),
): Reach {
  const { resourceType } = listed;
  const offer = offerOf(resourceType, capability);
  if (!offer) return { how: 'notOffered' };
  if (resourceType === 'Patient') return { how: 'read' };
  const parameter = patientParameterOf(resourceType, capability);
  if (parameter !== undefined) {
    const filters = filtersOf(listed, dialect);
    const assumed = filters.filter((filter) => filter !== '' && !listed.queries.includes(filter));
    return { how: 'search', parameter, filters, assumed };
  }
  if (resourceType === 'Provenance') {
    const carried = [...capability.types.values()].some(takesProvenance);
    return carried ? { how: 'revinclude' } : { how: 'notOffered' };
  }
  const byIdSearch = offer.search && offer.searchParams.has('_id');
  // A Binary is read, not searched: FHIR R4, 2.36.2, leaves open what a search gives of its content.
  if (resourceType === 'Binary' && offer.read) return { how: 'reference', byIdSearch: false };
  return offer.read || byIdSearch ? { how: 'reference', byIdSearch } : { how: 'notOffered' };
}

/**
 * What Epic asks for in a search by patient and this query lacks: one of the parameters `needs`. `filters`: what works.
 */
export function missingFilter(
  resourceType: string,
  query: string,
  dialect: Dialect,
): { readonly needs: readonly string[]; readonly filters: readonly string[] } | undefined {
  const rule = dialect === 'epic' ? EPIC_RULES.get(resourceType) : undefined;
  return rule === undefined || meets(rule, query) ? undefined : rule;
}

/** Those listed types whose searches can bring Provenance along by `_revinclude=Provenance:target`. */
export function provenanceCarriers(
  capability: Capability,
  listed: readonly ListedType[],
  dialect: Dialect = dialectOf(capability),
): readonly string[] {
  return listed
    .filter((one) => one.resourceType !== 'Provenance')
    .filter((one) => reachOf(one, capability, dialect).how === 'search')
    .map((one) => one.resourceType)
    .filter((resourceType) => takesProvenance(capability.types.get(resourceType)));
}

/** Which `include` entries the queries ask for. */
export interface IncludedTypes {
  /** By `_include=A:param:Type` and `_revinclude=Type:param`. */
  readonly types: ReadonlySet<string>;
  /** An `_include` that names no target type, or `*`: any type may come. */
  readonly any: boolean;
}

export function includedTypesOf(queries: readonly string[]): IncludedTypes {
  const types = new Set<string>();
  let any = false;
  for (const query of queries) {
    for (const [name, value] of new URLSearchParams(query)) {
      const [parameter] = name.split(':');
      const [source, , target] = value.split(':');
      if (parameter === '_include') {
        if (target) types.add(target);
        else any = true;
      } else if (parameter === '_revinclude') {
        if (source && source !== '*') types.add(source);
        else any = true;
      }
    }
  }
  return { types, any };
}

/** Something about the list that this server will not like. */
export interface ListProblem {
  /** `error`: the search cannot work. `warning`: a part of it will be refused, ignored or not used. */
  readonly level: 'error' | 'warning';
  readonly resourceType: string;
  /** The row's query, where it is about one row. */
  readonly query?: string;
  /** What is wrong and what to write instead. */
  readonly what: string;
}

/** All that can be said about the list before the first patient is asked for. */
export function problemsOfList(
  listed: readonly ListedType[],
  capability: Capability,
  dialect: Dialect = dialectOf(capability),
): readonly ListProblem[] {
  const problems: ListProblem[] = [];
  for (const one of listed) {
    const { resourceType, queries } = one;
    const add = (level: ListProblem['level'], what: string, query?: string): void => {
      problems.push({ level, resourceType, what, ...(query !== undefined && { query }) });
    };
    const reach = reachOf(one, capability, dialect);
    if (reach.how === 'notOffered') add('warning', 'the server does not offer this type; disable its row');
    if (reach.how === 'revinclude' && provenanceCarriers(capability, listed, dialect).length === 0) {
      add('warning', 'comes along with the searches of other types, and none that is listed brings it');
    }
    for (const query of queries) {
      if (reach.how === 'search') {
        for (const [level, what] of queryProblems(one, query, reach.parameter, capability, dialect)) {
          add(level, what, query);
        }
      } else if (query !== '' && reach.how !== 'notOffered') {
        add('warning', 'is not searched by patient, so its query is not used', query);
      }
    }
  }
  return problems;
}

function queryProblems(
  { resourceType }: ListedType,
  query: string,
  patientParameter: string,
  capability: Capability,
  dialect: Dialect,
): readonly (readonly [ListProblem['level'], string])[] {
  const found: [ListProblem['level'], string][] = [];
  const rule = dialect === 'epic' ? EPIC_RULES.get(resourceType) : undefined;
  const parameters = [...new URLSearchParams(query)];
  if (rule && rule.filters.length === 0 && !meets(rule, query)) {
    found.push(['error', `needs ${rule.needs.join(' or ')}: give it in query (${rule.needs[0] ?? ''}=...)`]);
  }
  const known = capability.types.get(resourceType)?.searchParams;
  for (const [name, value] of parameters) {
    const plain = name.split(/[:.]/)[0] ?? name;
    if (plain === patientParameter || plain === 'patient') {
      found.push(['error', `${plain} is set for each patient of the roster: leave it out of query`]);
    } else if (plain === '_format' || plain === '_count') {
      found.push(['error', `${plain} is set by the program: leave it out of query`]);
    } else if (plain === '_summary' || plain === '_elements') {
      found.push(['warning', `${plain} makes the server leave parts of the resources out`]);
    } else if (plain === '_lastUpdated' && dialect === 'epic') {
      found.push(['warning', '_lastUpdated is hardly supported at Epic']);
    } else if (!plain.startsWith('_') && known && known.size > 0 && !known.has(plain)) {
      found.push(['warning', `${plain} is no search parameter that the server lists for this type`]);
    }
    for (const one of value.split(',')) {
      const token = `${plain}=${one.split('|').at(-1) ?? one}`;
      if (rule?.refuses?.includes(token)) found.push(['warning', `Epic refuses ${token}`]);
    }
  }
  return found;
}

/** The type's offer; a statement that names no types at all is taken to offer every type. */
function offerOf(resourceType: string, capability: Capability): OfferedType | undefined {
  if (capability.types.size === 0) return { read: true, search: true, searchParams: new Set() };
  return capability.types.get(resourceType);
}

interface OfferedType {
  readonly read: boolean;
  readonly search: boolean;
  readonly searchParams: ReadonlySet<string>;
}

function patientParameterOf(resourceType: string, capability: Capability): PatientParameter | undefined {
  const offer = offerOf(resourceType, capability);
  if (!offer?.search) return undefined;
  const ofR4 = PATIENT_COMPARTMENT.get(resourceType);
  const listsParameters = [...capability.types.values()].some((type) => type.searchParams.size > 0);
  if (!listsParameters) return ofR4?.[0];
  // A server may add `patient` to a type that has none in R4.
  return (ofR4 ?? (['patient'] as const)).find((name) => offer.searchParams.has(name));
}

function filtersOf({ resourceType, queries }: ListedType, dialect: Dialect): readonly string[] {
  const rule = dialect === 'epic' ? EPIC_RULES.get(resourceType) : undefined;
  const filters = (queries.length === 0 ? [''] : queries).flatMap((query) => {
    if (!rule || rule.filters.length === 0 || meets(rule, query)) return [query];
    return rule.filters.map((filter) => (query === '' ? filter : `${filter}&${query}`));
  });
  return [...new Set(filters)];
}

/** Whether the query has what the rule needs, with or without a modifier (`category:in`). */
function meets(rule: EpicRule, query: string): boolean {
  const names = [...new URLSearchParams(query).keys()].map((name) => name.split(':')[0]);
  return names.some((name) => name === '_id' || (name !== undefined && rule.needs.includes(name)));
}

function takesProvenance(type: { readonly revIncludes: ReadonlySet<string> } | undefined): boolean {
  return type !== undefined && (type.revIncludes.has(PROVENANCE_REVINCLUDE) || type.revIncludes.has('*'));
}
