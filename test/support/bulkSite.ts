import { EPIC_SANDBOX_GROUP, type SandboxOptions } from '../../src/sandbox/startSandbox.ts';
import { siteForTest, type Site, type SiteSettings } from './site.ts';

/** Types of which the population has patients' own, shared ones, and ones that no patient owns. */
export const BULK_TYPES = [
  'Patient',
  'Observation',
  'Condition',
  'Encounter',
  'Appointment',
  'MedicationRequest',
  'Medication',
  'Practitioner',
] as const;

export interface BulkSiteOptions {
  readonly sandbox?: SandboxOptions;
  readonly settings?: SiteSettings;
  readonly resources?: string | readonly string[];
  readonly roster?: string;
}

/** A site whose job `default` pulls by bulk exports of Epic's group, which are done at once. */
export function bulkSite(options: BulkSiteOptions = {}): Promise<Site> {
  const { sandbox = {} } = options;
  return siteForTest({
    ...options,
    resources: options.resources ?? BULK_TYPES,
    mail: false,
    sandbox: {
      patients: 4,
      smtp: false,
      ...sandbox,
      bulk: { polls: 0, resourcesPerFile: 20, ...sandbox.bulk },
    },
    settings: {
      '[job default] method': 'bulk',
      'bulk.group_id': EPIC_SANDBOX_GROUP,
      'bulk.first_poll_seconds': 1,
      ...options.settings,
    },
  });
}

/** The kick-off as the oracle is asked about it. */
export function kickoffUrl(
  level: 'group' | 'patient' | 'system',
  types: readonly string[] = BULK_TYPES,
): string {
  const place = { group: `Group/${EPIC_SANDBOX_GROUP}/`, patient: 'Patient/', system: '' }[level];
  return `${place}$export?_type=${types.join(',')}`;
}
