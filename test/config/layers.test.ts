import { describe, expect, it } from 'vitest';
import { MINIMAL, load, problemsOf, settingsOf } from './support.ts';

const SANDBOX = 'https://fhir.epic.com/interconnect-fhir-oauth/api/FHIR/R4';

describe('jobs', () => {
  it('take the sections and change what they name', async () => {
    const { jobs, sources } = await load(
      `${MINIMAL}[api_settings]\npage_size = 50\n[job a]\napi_settings.page_size = 7\n[job b]\nmethod = crawl\n`,
    );
    expect(jobs.map(({ jobName, settings }) => [jobName, settings.api_settings.page_size])).toEqual([
      ['a', 7],
      ['b', 50],
    ]);
    expect(sources['a']?.['api_settings.page_size']).toBe('rounds.ini:10');
    expect(sources['b']?.['api_settings.page_size']).toBe('rounds.ini:8');
    expect(sources['b']?.['api_settings.max_pages']).toBe('default');
  });

  it('can hold everything', async () => {
    const { jobs } = await load(
      '[job only]\npaths.private_key = k.pem\noauth_settings.client_id = c\nepic_settings.epic_endpoint = https://a.example\n',
    );
    expect(jobs).toHaveLength(1);
    expect(jobs[0]?.settings.oauth_settings.client_id).toBe('c');
  });

  it('tell a problem that all of them share once', async () => {
    expect(await problemsOf(`${MINIMAL}[api_settings]\npage_size = 0\n[job a]\n[job b]\n`)).toHaveLength(1);
  });

  it('set a key back to its default with nothing behind =', async () => {
    const { jobs } = await load(
      `${MINIMAL}[schedule]\ncron = 0 2 * * *\n[job a]\nschedule.cron =\n[job b]\n`,
    );
    expect(jobs.map(({ settings }) => settings.schedule.cron)).toEqual([undefined, '0 2 * * *']);
  });

  it('can mail where the program does not', async () => {
    const mail =
      'email.smtp_auth = none\nemail.notification_from = a@b.example\nemail.notification_to = a@b.example\n';
    const { jobs } = await load(`${MINIMAL}[job a]\n${mail}[job b]\n`);
    expect(jobs.map(({ settings }) => settings.email?.notification_to)).toEqual([['a@b.example'], undefined]);
  });
});

describe('references', () => {
  it.each([
    ['${client_id}-x', 'abc-x'],
    ['${oauth_settings.client_id}', 'abc'],
    ['${TIER}', 'prod'],
    ['${api_settings.page_size}', '100'],
    ['$${TIER}', '${TIER}'],
    ['a$b{c}', 'a$b{c}'],
  ])('make %s to %s', async (written, value) => {
    const settings = await settingsOf(`${MINIMAL}[oauth_settings]\nscope = ${written}\n`, { TIER: 'prod' });
    expect(settings.oauth_settings.scope).toBe(value);
  });

  it('are seen from the section that they stand in', async () => {
    const ini = `${MINIMAL}[bulk]\ngroup_id = \${oauth_settings.scope}\n[oauth_settings]\nscope = \${client_id}!\n`;
    expect((await settingsOf(ini)).bulk.group_id).toBe('abc!');
  });

  it('reach keys of the original program that are not used', async () => {
    const ini = `${MINIMAL}[epic_settings]\ntest_patient_id = e1\n[oauth_settings]\nscope = \${epic_settings.test_patient_id}\n`;
    expect((await settingsOf(ini)).oauth_settings.scope).toBe('e1');
  });

  it.each([
    ['${nothing}', '${nothing} is neither a key nor an environment variable'],
    [
      '${paths:log_folder}',
      '${paths:log_folder} is neither a key nor an environment variable; write ${paths.log_folder}',
    ],
    ['${scope}', '${scope} leads back to itself: oauth_settings.scope'],
    ['${key', 'opens ${ and does not close it; write ${name}, or $${ for the text itself'],
    ['${email.smtp_pass}', '${email.smtp_pass} is a secret, which is never put into another value'],
    ['${bulk.group_id}', '${bulk.group_id} is not set; set it or write its value'],
    ['${ResourceType}', '${ResourceType} is neither a key nor an environment variable'],
    ['${EVIL}', 'holds a line break or another control character; remove it'],
  ])('refuse %s', async (written, what) => {
    const [problem] = await problemsOf(`${MINIMAL}[oauth_settings]\nscope = ${written}\n`, { EVIL: 'a\nb' });
    expect(problem?.startsWith(`rounds.ini:8 [oauth_settings] scope: ${what}`)).toBe(true);
  });

  it('refuse circles over several keys', async () => {
    const ini = `${MINIMAL}[bulk]\ngroup_id = \${oauth_settings.scope}\n[oauth_settings]\nscope = \${bulk.group_id}\n`;
    const problems = await problemsOf(ini);
    expect(problems).toHaveLength(2);
    expect(problems[0]).toContain(
      'leads back to itself: oauth_settings.scope -> bulk.group_id -> oauth_settings.scope',
    );
  });

  it('take an environment variable’s text as it is', async () => {
    const settings = await settingsOf(`${MINIMAL}[oauth_settings]\nscope = \${RAW}\n`, { RAW: '${X} $$' });
    expect(settings.oauth_settings.scope).toBe('${X} $$');
  });
});

describe('environments', () => {
  const PRODUCTION =
    '[environment production]\nendpoint = https://prd.example/R4\nclient_id = prd\nprivate_key = prd.pem\n';
  const BASE = `${MINIMAL}[oauth_settings]\ntoken_endpoint = https://fhir.example/token\n[jwt_settings]\nkey_id = base\n`;

  it('stand for endpoint, client and key, and take over neither token endpoint nor key id', async () => {
    const config = await load(`${BASE}[epic_settings]\nenvironment = production\n${PRODUCTION}`);
    const { settings } = config.jobs[0]!;
    expect(settings.epic_settings.epic_endpoint).toBe('https://prd.example/R4');
    expect(settings.oauth_settings).toMatchObject({ client_id: 'prd', token_endpoint: undefined });
    expect(settings.paths.private_key).toBe(`${config.folder}/prd.pem`);
    expect(settings.jwt_settings.key_id).toBeUndefined();
    expect(config.warnings).toContain(
      'rounds.ini:4 [oauth_settings] client_id: not used, since the environment production is chosen',
    );
  });

  it('know Epic’s public sandbox', async () => {
    const settings = await settingsOf(
      `[paths]\nprivate_key = k\n[oauth_settings]\nclient_id = c\n[epic_settings]\nenvironment = sandbox\n`,
    );
    expect(settings.epic_settings.epic_endpoint).toBe(SANDBOX);
    expect(settings.oauth_settings.token_endpoint).toBe(
      'https://fhir.epic.com/interconnect-fhir-oauth/oauth2/token',
    );
  });

  it('can be chosen for one job, whose own keys count more', async () => {
    const { jobs } = await load(
      `${BASE}${PRODUCTION}[job a]\nepic_settings.environment = production\noauth_settings.client_id = own\n[job b]\n`,
    );
    expect(jobs.map(({ settings }) => settings.epic_settings.epic_endpoint)).toEqual([
      'https://prd.example/R4',
      'https://fhir.example/api/FHIR/R4',
    ]);
    expect(jobs.map(({ settings }) => settings.oauth_settings.client_id)).toEqual(['prd', 'abc']);
  });

  it('count more than a job when a variable chooses them', async () => {
    const { jobs } = await load(`${BASE}[job a]\nepic_settings.epic_endpoint = https://prd.example/R4\n`, {
      FHIR_ROUNDS_EPIC_SETTINGS_ENVIRONMENT: 'sandbox',
    });
    expect(jobs[0]?.settings.epic_settings.epic_endpoint).toBe(SANDBOX);
  });

  it('fill only what is unset when EPIC_ENV chooses them', async () => {
    const settings = await settingsOf(MINIMAL, { EPIC_ENV: 'sandbox' });
    expect(settings.epic_settings.epic_endpoint).toBe('https://fhir.example/api/FHIR/R4');
    const filled = await settingsOf(MINIMAL.replace(/epic_endpoint.*/, ''), { EPIC_ENV: 'sandbox' });
    expect(filled.epic_settings.epic_endpoint).toBe(SANDBOX);
  });

  it('are refused when nobody defines them', async () => {
    expect(await problemsOf(`${BASE}[epic_settings]\nenvironment = prodution\n${PRODUCTION}`)).toEqual([
      'rounds.ini:12 [epic_settings] environment: is "prodution"; did you mean production?; write an [environment prodution] section, or one of production, sandbox',
    ]);
  });
});

describe('secrets', () => {
  const MAIL = '[email]\nnotification_from = a@b.example\nnotification_to = a@b.example\nsmtp_user = u\n';

  it('are read from a file, without the line end', async () => {
    const config = await load(
      `${MINIMAL}${MAIL}smtp_pass_file = secret.txt\n`,
      {},
      { 'secret.txt': 'pa;Zz ${X}\n' },
    );
    expect(config.jobs[0]?.settings.email?.smtp_pass).toBe('pa;Zz ${X}');
    expect(config.secrets).toEqual(['pa;Zz ${X}']);
    expect(config.sources['default']?.['email.smtp_pass']).toBe('rounds.ini:11');
  });

  it('come from the stronger layer, in either form', async () => {
    const ini = `${MINIMAL}${MAIL}smtp_pass_file = secret.txt\n`;
    const fromVariable = await settingsOf(ini, { FHIR_ROUNDS_EMAIL_SMTP_PASS: 'v' });
    expect(fromVariable.email?.smtp_pass).toBe('v');
    const fromFile = await settingsOf(
      `${MINIMAL}${MAIL}smtp_pass = i\n`,
      { FHIR_ROUNDS_EMAIL_SMTP_PASS_FILE: 's' },
      { s: 'f' },
    );
    expect(fromFile.email?.smtp_pass).toBe('f');
  });

  it.each([
    ['smtp_pass_file = none.txt', /smtp_pass_file: names .*none\.txt, which cannot be read: ENOENT$/],
    [
      'smtp_pass_file = empty.txt',
      /smtp_pass_file: names .*empty\.txt, which is empty; write the secret into it$/,
    ],
    ['smtp_pass_file = two.txt', /smtp_pass_file: names .*two\.txt, which is not one line of text$/],
    [
      'smtp_pass_file = two.txt\nsmtp_pass = x',
      /smtp_pass_file: stands beside rounds\.ini:12 \[email\] smtp_pass; keep one/,
    ],
  ])('refuse %j', async (lines, message) => {
    const problems = await problemsOf(
      `${MINIMAL}${MAIL}${lines}\n`,
      {},
      { 'empty.txt': '\n', 'two.txt': 'Zz\nZz\n' },
    );
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(message);
    expect(problems[0]).not.toContain('Zz');
  });

  it('include a proxy’s password, in both spellings', async () => {
    const config = await load(`${MINIMAL}[network]\nproxy = http://u:p%40Zz@proxy.example:8080\n`);
    expect(config.secrets).toEqual(['p%40Zz', 'p@Zz']);
    expect(config.jobs[0]?.settings.network.proxy).toBe('http://u:p%40Zz@proxy.example:8080');
  });
});
