import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { readResourceList } from '../../src/inputs/resourceList.ts';
import { scanRoster } from '../../src/inputs/patientRoster.ts';

const FIXTURES = path.join(import.meta.dirname, '..', 'fixtures');

describe('the original program’s files', () => {
  it('load unchanged, with one warning', async () => {
    const config = await loadConfig({ file: path.join(FIXTURES, 'original.ini'), env: {} });
    expect(config.jobs.map(({ jobName, method }) => [jobName, method])).toEqual([['default', 'crawl']]);
    const { settings } = config.jobs[0]!;
    expect(settings.paths).toMatchObject({
      app_folder_name: '/opt/epic-pull',
      epic_data_export_folder: '/opt/epic-pull/exports',
      private_key: '/opt/epic-pull/keys/privatekey.pem',
      state_folder: '/opt/epic-pull/data/state',
    });
    expect(settings.data_sources.epic_sandbox_roster).toBe('/opt/epic-pull/data/epic_sandbox_roster.csv');
    expect(settings.epic_settings.epic_endpoint).toBe(
      'https://fhir.epic.com/interconnect-fhir-oauth/api/FHIR/R4',
    );
    expect(settings.api_settings).toMatchObject({ page_size: 1000, max_pages: 100, concurrency: 5 });
    expect(settings.file_patterns.resource_data_file).toBe('${ResourceType}_${Timestamp}.ndjson');
    expect(settings.email).toBeUndefined();
    expect(config.warnings).toHaveLength(1);
    for (const ignored of [
      '[paths] base64_public_key',
      '[oauth_settings] grant_type',
      '[rsa_settings] rsa_public_encoding',
      '[epic_settings] test_patient_id',
      '[file_patterns] timestamp_format',
      '[lab_data_settings] lab_category',
      '[data_export] export_format',
    ]) {
      expect(config.warnings[0]).toContain(ignored);
    }
  });

  it('have CSVs that are read', async () => {
    const roster = path.join(FIXTURES, 'original-roster.csv');
    expect(await scanRoster(roster, { badRows: 'stop' })).toMatchObject({ patients: 2, mrns: 0 });
    const listed = await readResourceList(path.join(FIXTURES, 'original-resources.csv'));
    expect(listed.map(({ resourceType, queries }) => [resourceType, queries])).toEqual([
      ['Patient', ['']],
      ['Observation', ['']],
      ['Condition', ['']],
    ]);
  });
});
