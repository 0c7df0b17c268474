import type { ExportRequest } from '../../src/fhir/bulkKickoff.ts';

/** A kick-off that asks for everything, but for what is given. */
export function exportRequest(members: Partial<ExportRequest> = {}): ExportRequest {
  return {
    level: 'patient',
    groupId: undefined,
    method: 'get',
    types: [],
    typeFilters: [],
    since: undefined,
    until: undefined,
    elements: [],
    includeAssociatedData: [],
    organizeOutputBy: undefined,
    allowPartialManifests: false,
    outputFormat: undefined,
    patients: [],
    lenient: false,
    separateExportStatus: false,
    ...members,
  };
}
