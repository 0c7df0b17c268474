import { describe, expect, expectTypeOf, it } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { MINIMAL, load, problemsOf, settingsOf } from './support.ts';

describe('settings', () => {
  it('have the types that the table says', async () => {
    const settings = await settingsOf(MINIMAL);
    expectTypeOf(settings.api_settings.page_size).toEqualTypeOf<number>();
    expectTypeOf(settings.schedule.timezone).toEqualTypeOf<string>();
    expectTypeOf(settings.schedule.cron).toEqualTypeOf<string | undefined>();
    expectTypeOf(settings.console.enabled).toEqualTypeOf<boolean>();
    expectTypeOf(settings.api_settings.search_method).toEqualTypeOf<'get' | 'post'>();
    expectTypeOf(settings.bulk.types).toEqualTypeOf<readonly string[] | undefined>();
    expect(settings.bulk.types).toBeUndefined();
    expect(settings.console.enabled).toBe(false);
  });

  it.each([
    ['api_settings', 'page_size', '0', 'is 0; write a whole number from 1 to 1000 (resources)'],
    ['api_settings', 'page_size', '1001', 'is 1001; write a whole number from 1 to 1000 (resources)'],
    ['api_settings', 'page_size', '12.5', 'is 12.5; write a whole number from 1 to 1000 (resources)'],
    ['api_settings', 'page_size', '1e3', 'is "1e3"; write a whole number from 1 to 1000 (resources)'],
    ['api_settings', 'page_size', '0x10', 'is "0x10"; write a whole number from 1 to 1000 (resources)'],
    ['api_settings', 'page_size', '1,000', 'is "1,000"; write a whole number from 1 to 1000 (resources)'],
    ['api_settings', 'timeout_seconds', '30s', 'is "30s"; write the number alone, in seconds: 30'],
    ['api_settings', 'timeout_seconds', '5 min', 'is "5 min"; write the number alone, in seconds: 300'],
    ['api_settings', 'max_outage_minutes', '1h', 'is "1h"; write the number alone, in minutes: 60'],
    ['console', 'enabled', 'maybe', 'is "maybe"; write true or false'],
    ['logging', 'level', 'inof', 'is "inof"; did you mean info?; write one of debug, info, warn, error'],
    [
      'schedule',
      'timezone',
      'Europe/Belrin',
      'is "Europe/Belrin"; did you mean Europe/Berlin?; write an IANA name such as America/Chicago',
    ],
    [
      'schedule',
      'cron',
      '0 2 * *',
      'has 4 fields; write five: minute hour day month weekday, such as 0 2 * * *',
    ],
    ['schedule', 'cron', '0 25 * * *', 'has "25" as hour; write * or 0 to 23'],
    ['schedule', 'cron', '0 2 * * monkey', 'has "monkey" as weekday; write * or 0 to 7'],
    ['schedule', 'cron', '*/0 2 * * *', 'has "*/0" as minute; write * or 0 to 59'],
    ['schedule', 'allowed_hours', '19-7', 'is no list of hours; write such as 19:00-07:00'],
    ['schedule', 'allowed_hours', '25:00-07:00', 'is no list of hours; write such as 19:00-07:00'],
    [
      'console',
      'host',
      '0.0.0.0',
      'is no loopback address, which needs tls_certificate and tls_key; or write 127.0.0.1 and reach it through an SSH tunnel',
    ],
    [
      'bulk',
      'types',
      'Patient, observation',
      'has "observation"; write resource types such as Patient, Observation',
    ],
    [
      'file_patterns',
      'resource_data_file',
      'all.ndjson',
      'has no ${ResourceType}, so all types would meet in one file; write it in',
    ],
    ['file_patterns', 'resource_data_file', '${ResourceType}.json', 'must end in .ndjson'],
    [
      'file_patterns',
      'resource_data_file',
      '../${ResourceType}.ndjson',
      'is no plain file name; use letters, digits, - _ . and ${ResourceType}, ${Timestamp}',
    ],
    [
      'network',
      'proxy',
      'proxy.example:8080',
      'is no proxy URL; write such as http://proxy.hospital.example:8080',
    ],
    ['paths', 'log_folder', '~/logs', 'starts with ~, which only a shell knows; write ${HOME}/logs'],
  ])('refuses [%s] %s = %s', async (section, key, value, what) => {
    const ini = `${MINIMAL}[${section}]\n${key} = ${value}\n`;
    expect(await problemsOf(ini)).toEqual([`rounds.ini:8 [${section}] ${key}: ${what}`]);
  });

  it.runIf(process.platform !== 'win32').each([
    ['C:\\FHIR\\exports', 'is a Windows path; write /FHIR/exports or a path relative to app_folder_name'],
    ['C:/FHIR', 'is a Windows path; write /FHIR or a path relative to app_folder_name'],
    ['data\\logs', 'has backslashes; write data/logs'],
    ["'\\\\srv\\logs'", 'is a Windows share; mount it and write the path it is mounted at'],
  ])('refuses the Windows path %s elsewhere', async (value, what) => {
    expect(await problemsOf(`${MINIMAL}[paths]\nlog_folder = ${value}\n`)).toEqual([
      `rounds.ini:8 [paths] log_folder: ${what}`,
    ]);
  });

  it.each([
    [
      'http://fhir.example/R4',
      'is plain http, which would show the token and the data to the network; write https://',
    ],
    [
      'http://127.0.0.1.example/R4',
      'is plain http, which would show the token and the data to the network; write https://',
    ],
    [
      'http://10.0.0.1/R4',
      'is plain http, which would show the token and the data to the network; write https://',
    ],
    ['https://u:p@fhir.example/R4', 'holds a user or password; remove it'],
    ['https://fhir.example/R4?x=1', 'has a query or fragment; end it before the ? or #'],
    ["'https://fhir.example/R4#x'", 'has a query or fragment; end it before the ? or #'],
    ['fhir.example/R4', 'is no URL; write one that starts with https://'],
    ['ftp://fhir.example/R4', 'is no URL; write one that starts with https://'],
  ])('refuses the endpoint %s', async (value, what) => {
    const ini = MINIMAL.replace(/epic_endpoint = .*/, `epic_endpoint = ${value}`);
    expect(await problemsOf(ini)).toEqual([`rounds.ini:6 [epic_settings] epic_endpoint: ${what}`]);
  });

  it.each([
    'http://127.0.0.1:8080/R4',
    'http://localhost/R4',
    'http://[::1]:80/R4',
    'https://fhir.example/R4/',
  ])('takes the endpoint %s', async (value) => {
    const settings = await settingsOf(MINIMAL.replace(/epic_endpoint = .*/, `epic_endpoint = ${value}`));
    expect(settings.epic_settings.epic_endpoint).toBe(value.replace(/\/$/, ''));
  });

  it.each(['yes', 'ON', '1', 'True'])('takes %s as true', async (word) => {
    expect((await settingsOf(`${MINIMAL}[console]\nenabled = ${word}\n`)).console.enabled).toBe(true);
  });

  it.each(['0 2 * * *', '*/15 1-5,22 1,15 JAN-mar mon-fri', '30 0 2 * * 7', '0 8-18/2 * * sunday'])(
    'takes the cron expression %s',
    async (cron) => {
      expect((await settingsOf(`${MINIMAL}[schedule]\ncron = ${cron}\n`)).schedule.cron).toBe(cron);
    },
  );

  it('leaves cron to the scheduler’s own judgement when there is one', async () => {
    const loading = load(
      `${MINIMAL}[schedule]\ncron = 0 2 * * *\n`,
      {},
      {},
      { validateCron: () => 'is too early' },
    );
    await expect(loading).rejects.toThrow('rounds.ini:8 [schedule] cron: is too early');
  });

  it('may lack what is required when a command needs no server', async () => {
    const config = await load('[logging]\nlevel = warn\n', {}, {}, { complete: false });
    expect(config.jobs[0]!.settings.oauth_settings.client_id).toBe('');
    await expect(load('[logging]\nlevel = warn\n')).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });

  it('are missing with their file', async () => {
    await expect(loadConfig({ file: '/nowhere/rounds.ini', env: {} })).rejects.toMatchObject({
      code: 'CONFIG_MISSING',
      message: '/nowhere/rounds.ini cannot be read: ENOENT',
    });
  });

  it('warn of an assertion that lives too long for Epic', async () => {
    const { warnings } = await load(`${MINIMAL}[jwt_settings]\njwt_expiry_minutes = 5\n`);
    expect(warnings).toEqual([
      'rounds.ini:8 [jwt_settings] jwt_expiry_minutes: Epic refuses assertions of more than 5 minutes in all; 4 leaves room for clocks',
    ]);
  });
});
