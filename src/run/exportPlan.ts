import type { JobConfig, Settings } from '../config/schema.ts';
import { exportParameters, type ExportRequest } from '../fhir/bulkKickoff.ts';
import type { Capability } from '../fhir/capability.ts';
import type { Dialect } from '../fhir/searchRules.ts';
import type { ListedType } from '../inputs/resourceList.ts';
import type { ListedFile } from './exportTally.ts';
import type { PullPlan } from './plan.ts';

/** How a run's exports are asked for: kept in its snapshot, and never made again for that run. */
export interface BulkPlan {
  /** One kick-off's request, but for the patients of `patients = roster`. */
  readonly request: ExportRequest;
  readonly dialect: Dialect;
  /** Patients named in one kick-off; undefined: everyone of the level, in one export. */
  readonly patientsPerExport: number | undefined;
}

/**
 * Units beside the files of the listed types, in the order of their typeNos: an export itself, or a file of any type
 * (`Resource`, the base of all), files of deletions, and the server's own remarks.
 */
const BESIDES = ['Resource', 'Bundle', 'OperationOutcome'] as const;

/** typeNo of the units that no listed type counts. */
export function besideTypeNo(plan: PullPlan, what: (typeof BESIDES)[number]): number {
  return plan.referenced.length + BESIDES.indexOf(what);
}

/** Type of a file's lines; undefined: any. */
export function typeOfFile({ kind, type }: Pick<ListedFile, 'kind' | 'type'>): string | undefined {
  return kind === 'output' ? type : kind === 'deleted' ? 'Bundle' : 'OperationOutcome';
}

/** typeNo of the unit that a file is. */
export function fileTypeNo(plan: PullPlan, file: Pick<ListedFile, 'kind' | 'type'>): number {
  if (file.kind === 'deleted') return besideTypeNo(plan, 'Bundle');
  if (file.kind === 'error') return besideTypeNo(plan, 'OperationOutcome');
  const at = plan.referenced.findIndex((type) => type.resourceType === file.type);
  return at < 0 ? besideTypeNo(plan, 'Resource') : at;
}

/** Pure. A type that the server does not offer is not asked for, since it would refuse the whole. */
export function makeExportPlan(listed: readonly ListedType[], capability: Capability): PullPlan {
  const isOffered = ({ resourceType }: ListedType): boolean =>
    capability.types.size === 0 || capability.types.has(resourceType);
  return {
    searched: [],
    referenced: listed
      .filter(isOffered)
      .map(({ resourceType }) => ({ resourceType, byIdSearch: false, byRead: false })),
    carried: [],
    notOffered: listed.filter((one) => !isOffered(one)).map(({ resourceType }) => resourceType),
    besides: BESIDES,
  };
}

/** Pure. `since`: an instant, or undefined for everything. */
export function makeBulkPlan(
  { settings }: JobConfig,
  plan: PullPlan,
  listed: readonly ListedType[],
  dialect: Dialect,
  since: string | undefined,
): BulkPlan {
  const { bulk } = settings;
  const types = plan.referenced.map(({ resourceType }) => resourceType);
  const ofRoster = bulk.patients === 'roster';
  return {
    dialect,
    patientsPerExport: ofRoster ? bulk.patients_per_export : undefined,
    request: {
      level: bulk.level,
      groupId: bulk.level === 'group' ? bulk.group_id : undefined,
      method: ofRoster ? 'post' : bulk.kickoff_method,
      types,
      typeFilters: listed.filter(({ resourceType }) => types.includes(resourceType)).flatMap(typeFiltersOf),
      since,
      until: bulk.until,
      elements: bulk.elements ?? [],
      includeAssociatedData: bulk.include_associated_data ?? [],
      organizeOutputBy: bulk.organize_output_by,
      allowPartialManifests: bulk.allow_partial_manifests,
      outputFormat: bulk.output_format,
      patients: [],
      lenient: bulk.lenient,
      separateExportStatus: bulk.separate_export_status,
    },
  };
}

/** A row without a query asks for all of its type, whatever the type's other rows say. */
function typeFiltersOf({ resourceType, queries }: ListedType): readonly string[] {
  return queries.includes('') ? [] : queries.map((query) => `${resourceType}?${query}`);
}

/** The types that a bulk job asks for: [bulk] types, or undefined for those of the list. */
export function typesOfBulk({ bulk }: Settings): readonly ListedType[] | undefined {
  return bulk.types?.map((resourceType) => ({ resourceType, queries: [''], line: 0 }));
}

/** What is asked, for the run's log: no patient is named, and of filters their parameters' names alone. */
export function describeRequest(request: ExportRequest): Readonly<Record<string, string>> {
  const { typeFilters } = request;
  const named = typeFilters.map((filter) => filter.replaceAll(/=[^&]*/g, '=…'));
  const plain = Object.fromEntries(exportParameters({ ...request, patients: [], typeFilters: [] }));
  return named.length === 0 ? plain : { ...plain, _typeFilter: named.join(', ') };
}
