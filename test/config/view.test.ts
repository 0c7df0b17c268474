import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { configHash, pullSettings, redactedSettings } from '../../src/config/view.ts';
import { MINIMAL, load, settingsOf } from './support.ts';

const MAIL =
  '[email]\nnotification_from = a@b.example\nnotification_to = a@b.example\nsmtp_user = u\nsmtp_pass = Zz9\n';

describe('redactedSettings', () => {
  it('shows every setting with its source, and secrets as (set)', async () => {
    const config = await load(`${MINIMAL}${MAIL}[network]\nproxy = http://u:Zz9@p.example\n`);
    const lines = redactedSettings(config);
    const shown = (key: string) => lines.find((line) => line.key === key);
    expect(JSON.stringify(lines)).not.toContain('Zz9');
    expect(shown('smtp_pass')).toMatchObject({ value: '(set)', source: 'rounds.ini:11' });
    expect(shown('proxy')).toMatchObject({ value: '(set)' });
    expect(shown('client_id')).toMatchObject({
      section: 'oauth_settings',
      value: 'abc',
      source: 'rounds.ini:4',
    });
    expect(shown('page_size')).toMatchObject({ value: '100', source: 'default' });
    expect(shown('cron')).toMatchObject({ value: '', source: '' });
    expect(shown('method')).toMatchObject({ value: 'crawl' });
    expect(lines.some(({ key }) => key === 'smtp_pass_file')).toBe(false);
  });

  it('leaves out a section that is not there', async () => {
    const lines = redactedSettings(await load(MINIMAL));
    expect(lines.some(({ section }) => section === 'email')).toBe(false);
  });
});

describe('configHash', () => {
  it('is the sha256 of the pull settings, one a line', async () => {
    const settings = await settingsOf(MINIMAL);
    const expected = [
      'api_settings.max_pages=0',
      'api_settings.page_size=100',
      'api_settings.search_method="get"',
      'attachments.download=false',
      'attachments.max_megabytes=50',
      'bulk.allow_partial_manifests=false',
      'bulk.kickoff_method="get"',
      'bulk.lenient=false',
      'bulk.level="group"',
      'bulk.patients="all"',
      'bulk.patients_per_export=1000',
      'bulk.separate_export_status=false',
      'data_sources.roster_bad_rows="stop"',
      'epic_settings.epic_endpoint="https://fhir.example/api/FHIR/R4"',
      'file_patterns.max_file_megabytes=2000',
      'file_patterns.resource_data_file="${ResourceType}.ndjson"',
      'oauth_settings.client_id="abc"',
      'paths.export_mode="private"',
    ];
    const text = expected.map((line) => `${line}\n`).join('');
    expect(configHash(settings)).toBe(createHash('sha256').update(text).digest('hex'));
    expect(Object.keys(pullSettings(settings)).sort()).toEqual(expected.map((line) => line.split('=')[0]));
  });

  it('changes with what shapes a pull, and with nothing else', async () => {
    const base = configHash(await settingsOf(MINIMAL));
    const same = `${MINIMAL}${MAIL}[api_settings]\nconcurrency = 2\ntimeout_seconds = 9\n[schedule]\ncron = 0 2 * * *\n`;
    expect(configHash(await settingsOf(same))).toBe(base);
    for (const text of [
      '[api_settings]\npage_size = 99',
      '[data_sources]\nmrn_system = urn:x',
      '[bulk]\ntypes = Patient',
    ]) {
      expect(configHash(await settingsOf(`${MINIMAL}${text}\n`))).not.toBe(base);
    }
  });
});
