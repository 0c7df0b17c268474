import { describe, expect, it } from 'vitest';
import { MINIMAL, load, problemsOf } from './support.ts';

describe('variables', () => {
  it('override every job', async () => {
    const { jobs, sources } = await load(`${MINIMAL}[job a]\napi_settings.page_size = 7\n[job b]\n`, {
      FHIR_ROUNDS_API_SETTINGS_PAGE_SIZE: '9',
      FHIR_ROUNDS_LOGGING_LEVEL: '',
      FHIR_ROUNDS_SAMPLE_DATA: '/somewhere',
    });
    expect(jobs.map(({ settings }) => settings.api_settings.page_size)).toEqual([9, 9]);
    expect(jobs[0]?.settings.logging.level).toBe('info');
    expect(sources['a']?.['api_settings.page_size']).toBe('FHIR_ROUNDS_API_SETTINGS_PAGE_SIZE');
  });

  it.each([
    [
      'FHIR_ROUNDS_API_SETTINGS_PAGESIZE',
      '9',
      'there is no such setting; did you mean FHIR_ROUNDS_API_SETTINGS_PAGE_SIZE?',
    ],
    ['FHIR_ROUNDS_API_SETTINGS_PAGE_SIZE', 'x', 'is "x"; write a whole number from 1 to 1000 (resources)'],
    [
      'FHIR_ROUNDS_OAUTH_SETTINGS_SCOPE',
      'a\r\nb',
      'holds a line break or another control character; remove it',
    ],
  ])('refuse %s=%j', async (name, value, what) => {
    expect(await problemsOf(MINIMAL, { [name]: value })).toEqual([`environment ${name}: ${what}`]);
  });

  const BARE = '[logging]\nlevel = info\n';
  it.each([
    ['CLIENT_ID', 'EPIC_TOKEN_URL', 'BASE_URI', 'PRIVATE_KEY_PATH'],
    ['EPIC_CLIENT_ID', 'AUTH_URL', 'FHIR_BASE_URL', 'EPIC_PRIVATE_KEY_PATH'],
    ['EPIC_BACKEND_CLIENT_ID', 'AUTH_URL', 'EPIC_FHIR_BASE_URL', 'PRIVATE_KEY_PATH'],
  ])('fill what is unset, under the names %s, %s, %s, %s', async (client, token, base, key) => {
    const lines = [
      `export ${client}="abc" # of the registration`,
      `${token}=https://a.example/token`,
      `${base}='https://a.example/R4'`,
      '',
      '# more',
      `${key} = keys/k.pem`,
      'GROUP_ID=g1',
      'SCOPES="system/*.read"',
      'JWT_EXPIRY_MINUTES=3',
      'UNRELATED=1',
    ];
    const { folder, jobs, sources } = await load(BARE, {}, { '.env': lines.join('\r\n') });
    expect(jobs[0]?.settings).toMatchObject({
      oauth_settings: { client_id: 'abc', token_endpoint: 'https://a.example/token', scope: 'system/*.read' },
      epic_settings: { epic_endpoint: 'https://a.example/R4' },
      paths: { private_key: `${folder}/keys/k.pem` },
      bulk: { group_id: 'g1' },
      jwt_settings: { jwt_expiry_minutes: 3 },
    });
    expect(sources['default']?.['oauth_settings.client_id']).toBe('.env:1');
  });

  it('lose to the INI, and win over .env', async () => {
    const files = {
      '.env': 'CLIENT_ID=of-env-file\nSCOPES=of-env-file\nFHIR_ROUNDS_API_SETTINGS_PAGE_SIZE=3\n',
    };
    const config = await load(MINIMAL, { SCOPES: 'real' }, files);
    expect(config.jobs[0]?.settings.oauth_settings).toMatchObject({ client_id: 'abc', scope: 'real' });
    expect(config.jobs[0]?.settings.api_settings.page_size).toBe(3);
    expect(config.sources['default']?.['oauth_settings.scope']).toBe('SCOPES');
  });

  it('refuse two names of one thing that differ', async () => {
    expect(await problemsOf(MINIMAL, { CLIENT_ID: 'a', EPIC_CLIENT_ID: 'b' })).toEqual([
      'environment EPIC_CLIENT_ID: differs from environment CLIENT_ID, which means the same; keep one',
    ]);
  });

  it.each([
    ['A=1\nnonsense\n', '.env:2: is not read; write NAME=value'],
    ['A="1" b\n', '.env:1 A: has text behind its closing quote; quote all of it'],
    ['A="1\nB=2\n', '.env:1 A: opens a quote that is never closed; close it'],
    ['FHIR_ROUNDS_NO=1\n', '.env:1 FHIR_ROUNDS_NO: there is no such setting'],
  ])('refuse the .env %j', async (text, problem) => {
    expect(await problemsOf(MINIMAL, {}, { '.env': text })).toEqual([problem]);
  });

  it('pass over a key that is given as text, and say so', async () => {
    const text = 'PRIVATE_KEY="-----BEGIN\nSECRETLINE=\n-----END"\nPRIVATE_KEY=x\nSCOPES=s\n';
    const config = await load(MINIMAL, {}, { '.env': text });
    expect(config.jobs[0]?.settings.oauth_settings.scope).toBe('s');
    expect(config.warnings).toEqual([
      '.env:4 PRIVATE_KEY is not used: write the key to a file and name it in PRIVATE_KEY_PATH',
    ]);
  });
});
