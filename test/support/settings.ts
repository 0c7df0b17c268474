import type { PullPlan, SearchedType } from '../../src/run/plan.ts';
import type { SnapshotSettings } from '../../src/run/snapshot.ts';

export function searchedType(resourceType: string, given: Partial<SearchedType> = {}): SearchedType {
  return {
    resourceType,
    how: 'search',
    parameter: 'patient',
    filters: [''],
    assumed: [],
    includes: [],
    ...given,
  };
}

/** Patient and Observation searched, Practitioner reached by reference. */
export const PLAN: PullPlan = {
  searched: [searchedType('Patient', { how: 'read', parameter: '' }), searchedType('Observation')],
  referenced: [{ resourceType: 'Practitioner', byIdSearch: true, byRead: true }],
  carried: [],
  notOffered: [],
};

export function settingsOf(given: Partial<SnapshotSettings> = {}): SnapshotSettings {
  return {
    patients: 2,
    hasMrns: false,
    mrnSystem: undefined,
    plan: PLAN,
    pageSize: 100,
    maxPages: 0,
    searchMethod: 'get',
    maxPartBytes: 0,
    filePattern: '${ResourceType}.ndjson',
    timestamp: '20261122T020000Z',
    configHash: 'c'.repeat(64),
    frozenParts: {},
    notes: [],
    ...given,
  };
}
