import { readFile, writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { configReference, exampleIni } from '../../src/config/reference.ts';
import { KEYS } from '../../src/config/schema.ts';
import { load, settingsOf } from './support.ts';

const EXAMPLE = new URL('../../config/fhir-rounds.example.ini', import.meta.url);
const README = new URL('../../config/README.md', import.meta.url);
const MARKED = /(<!-- reference:start[^\n]*-->\n)([\s\S]*)(<!-- reference:end -->)/;

const filledIn = exampleIni().replace('client_id =\n', 'client_id = abc\n');

describe('the example INI', () => {
  it('is the one in config/', async () => {
    if (process.env['UPDATE_DOCS'] === '1') await writeFile(EXAMPLE, exampleIni());
    expect(await readFile(EXAMPLE, 'utf8')).toBe(exampleIni());
  });

  it('has a line for every key', () => {
    for (const { section, key, fileOf } of KEYS.values()) {
      const body = exampleIni().split(`[${section}]\n`)[1]?.split(/^;?\[/m)[0];
      if (fileOf === undefined) expect(body).toMatch(new RegExp(`^;?${key} =`, 'm'));
    }
  });

  it('loads, without a warning, once client_id is filled in, and changes no default', async () => {
    const config = await load(filledIn);
    expect(config.warnings).toEqual([]);
    const minimal = await settingsOf(
      '[paths]\nprivate_key = config/private-key.pem\n[oauth_settings]\nclient_id = abc\n' +
        '[epic_settings]\nepic_endpoint = https://fhir.epic.com/interconnect-fhir-oauth/api/FHIR/R4\n',
    );
    const { paths, data_sources: sources, ...rest } = config.jobs[0]!.settings;
    const { paths: _paths, data_sources: _sources, ...defaults } = minimal;
    expect(rest).toEqual(defaults);
    expect(paths.state_folder).toBe(`${config.folder}/data/state`);
    expect(sources.epic_sandbox_roster).toBe(`${config.folder}/data/roster.csv`);
  });

  it('loads with every commented key switched on', async () => {
    const all = filledIn.replace(/^;(smtp_pass) =.*$/m, "$1 = 'a;b'").replace(/^;/gm, '');
    const config = await load(all.replace('environment = sandbox', 'environment = production'));
    expect(config.jobs.map(({ jobName }) => jobName)).toEqual(['nightly-labs']);
    expect(config.jobs[0]!.settings.email?.smtp_pass).toBe('a;b');
    expect(config.jobs[0]!.settings.oauth_settings.client_id).toBe('11111111-1111-1111-1111-111111111111');
  });

  it('takes the values of a new site', () => {
    const ini = exampleIni({ 'oauth_settings.client_id': 'xyz', 'email.smtp_port': '1026' });
    expect(ini).toContain('\nclient_id = xyz\n');
    expect(ini).toMatch(/^\[email\]$/m);
    expect(ini).toContain('\nsmtp_port = 1026\n');
  });
});

describe('the reference', () => {
  it('is the one in config/README.md', async () => {
    const text = await readFile(README, 'utf8');
    const expected = text.replace(
      MARKED,
      (_, start: string, _old, end: string) => `${start}\n${configReference()}\n\n${end}`,
    );
    if (process.env['UPDATE_DOCS'] === '1') await writeFile(README, expected);
    expect(await readFile(README, 'utf8')).toBe(expected);
  });

  it('shows no table cell that is empty', () => {
    expect(configReference()).not.toMatch(/\| +\|/);
  });
});
