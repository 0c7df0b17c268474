import type { Capability } from '../fhir/capability.ts';
import {
  includedTypesOf,
  provenanceCarriers,
  reachOf,
  type Dialect,
  type ListedType,
} from '../fhir/searchRules.ts';

/** A type with one search for each patient: `search` by parameter, or `read` of the Patient itself. */
export interface SearchedType {
  readonly resourceType: string;
  readonly how: 'search' | 'read';
  /** The search parameter that takes the patient's id; empty for a read. */
  readonly parameter: string;
  /** One request each, `''` adding nothing; their results are one search's. */
  readonly filters: readonly string[];
  /** Those of the filters that the program chose by itself: one that this site refuses is no gap. */
  readonly assumed: readonly string[];
  /** Types whose `include` entries this search asks for; `*` for any. */
  readonly includes: readonly string[];
}

/** A type without a patient search, fetched where what was pulled refers to it. */
export interface ReferencedType {
  readonly resourceType: string;
  readonly byIdSearch: boolean;
  readonly byRead: boolean;
}

/** Which attachments are downloaded; what is passed over is counted. */
export interface AttachmentRules {
  /** MIME types in lower case, `text/*` for all of a kind; undefined: every type. */
  readonly types: readonly string[] | undefined;
  /** Of one attachment. */
  readonly maxBytes: number;
}

/** Attachments as a type of the plan, named as FHIR names the datatype: no resource has that name. */
export const ATTACHMENT = 'Attachment';

/**
 * What a run pulls and how: made once from list and CapabilityStatement, kept in the run's snapshot, and never
 * made again for that run, so that a resumed run asks what it began to ask.
 *
 * A search's number is patientNo x searched.length + typeNo; reference types have the typeNos that follow, and then
 * attachments.
 */
export interface PullPlan {
  readonly searched: readonly SearchedType[];
  readonly referenced: readonly ReferencedType[];
  /** Listed types that come only along with others' searches (Provenance at Epic). */
  readonly carried: readonly string[];
  readonly notOffered: readonly string[];
  /** undefined: attachments are not downloaded. */
  readonly attachments?: AttachmentRules | undefined;
  /** Of a bulk export: kinds of units beside the listed types, shown only where there are any (exportPlan.ts). */
  readonly besides?: readonly string[];
}

const PROVENANCE_FILTER = '_revinclude=Provenance%3Atarget';

/** Pure. Types keep the list's order, Patient first, so that a patient's own record is the first asked for. */
export function makePlan(listed: readonly ListedType[], capability: Capability, dialect: Dialect): PullPlan {
  const searched: SearchedType[] = [];
  const referenced: ReferencedType[] = [];
  const carried: string[] = [];
  const notOffered: string[] = [];
  const withProvenance = listed.some(
    (one) => one.resourceType === 'Provenance' && reachOf(one, capability, dialect).how === 'revinclude',
  );
  const carriers = new Set(withProvenance ? provenanceCarriers(capability, listed, dialect) : []);

  for (const one of listed) {
    const { resourceType } = one;
    const reach = reachOf(one, capability, dialect);
    switch (reach.how) {
      case 'read':
        searched.unshift({
          resourceType,
          how: 'read',
          parameter: '',
          filters: [''],
          assumed: [],
          includes: [],
        });
        break;
      case 'search': {
        const carry = carriers.has(resourceType) ? addProvenance : (filter: string) => filter;
        const filters = reach.filters.map(carry);
        const assumed = reach.assumed.map(carry);
        const included = includedTypesOf(filters);
        const includes = included.any ? ['*'] : [...included.types];
        searched.push({
          resourceType,
          how: 'search',
          parameter: reach.parameter,
          filters,
          assumed,
          includes,
        });
        break;
      }
      case 'reference':
        referenced.push({
          resourceType,
          byIdSearch: reach.byIdSearch,
          byRead: capability.types.get(resourceType)?.read ?? true,
        });
        break;
      case 'revinclude':
        carried.push(resourceType);
        break;
      case 'notOffered':
        notOffered.push(resourceType);
        break;
    }
  }
  return { searched, referenced, carried, notOffered };
}

function addProvenance(filter: string): string {
  return filter === '' ? PROVENANCE_FILTER : `${filter}&${PROVENANCE_FILTER}`;
}

/** All types of the plan, in the order of their typeNos. */
export function typeNames({ searched, referenced, besides = [], attachments }: PullPlan): readonly string[] {
  const names = [...searched, ...referenced].map((type) => type.resourceType);
  return [...names, ...besides, ...(attachments === undefined ? [] : [ATTACHMENT])];
}

/** The type of a typeNo. */
export function typeName(plan: PullPlan, typeNo: number): string {
  const name = typeNames(plan)[typeNo];
  if (name === undefined) throw new RangeError(`type ${typeNo} is not of this plan`);
  return name;
}

/** The typeNo of a type reached by reference, or undefined. */
export function referencedTypeNo(plan: PullPlan, resourceType: string): number | undefined {
  const at = plan.referenced.findIndex((type) => type.resourceType === resourceType);
  return at < 0 ? undefined : plan.searched.length + at;
}

/** The typeNo of attachments, in a plan that has them. */
export function attachmentTypeNo({ searched, referenced, besides = [] }: PullPlan): number {
  return searched.length + referenced.length + besides.length;
}

/** How many types the plan has that have no searches. */
export function unitTypeCount(plan: PullPlan): number {
  return typeNames(plan).length - plan.searched.length;
}

/** Types that are asked for in the categories this program knows, since the list names none: a sentence each. */
export function assumptionsOf({ searched }: PullPlan): readonly string[] {
  return searched
    .filter((type) => type.assumed.length > 0)
    .map(({ resourceType, assumed }) => {
      const values = assumed.map((filter) => filter.split('&')[0]).join(', ');
      return `${resourceType} was asked for with ${values}; name others in the list where they are wanted.`;
    });
}
