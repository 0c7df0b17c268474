import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { indentJson } from '../../src/console/api/indentJson.ts';
import { apiRoutes, everyOperation } from '../../src/console/apiRoutes.ts';
import { rejection } from '../support/rejection.ts';
import { makeSite, siteForTest, type Site } from '../support/site.ts';
import { ask, consoleOf } from './support.ts';

const CAMILA = 'erXuFYUfucBZaryVksYEcMg3';

describe('the page to try the API', () => {
  let shared: Site;
  beforeAll(async () => {
    shared = await makeSite({ mail: false });
  });
  afterAll(() => shared.close());

  it('offers every operation of the table, each with a field for each parameter', async () => {
    const { site, parts } = await consoleOf(shared);
    const routes = apiRoutes(site, parts);
    const { text } = await ask(routes, 'GET', '/api');
    const operations = everyOperation(site, parts);
    for (const { key, parameters, takesOthers } of operations) {
      expect(text).toContain(`href="/api?op=${key}"`);
      const form = (await ask(routes, 'GET', `/api?op=${key}`)).text;
      const fields = [...form.matchAll(/name="p-([^"]+)"/g)].map(([, name]) => name);
      expect(fields).toEqual([...parameters.map(({ name }) => name), ...(takesOthers ? ['others'] : [])]);
      expect([...form.matchAll(/<label for="p-/g)]).toHaveLength(fields.length);
    }
    expect((await rejection(ask(routes, 'GET', '/api?op=nope'))).code).toBe('CONSOLE_NOT_FOUND');
  });

  it('asks the operation, and shows request, status, headers, body and command', async () => {
    const { site, parts } = await consoleOf(shared);
    const { text, status } = await ask(apiRoutes(site, parts), 'POST', '/api', {
      op: 'searchObservationOfPatient',
      'p-patient_id': CAMILA,
      'p-category': 'laboratory',
      'p-_count': '2',
      'p-code': '',
      'p-job': '',
    });
    const path = `/fhir/observation/${CAMILA}?category=laboratory&amp;_count=2`;
    expect(status).toBe(200);
    expect(text).toContain(`GET ${path}`);
    expect(text).toMatch(/<strong>200<\/strong> after \d+ ms/);
    expect(text).toContain('application/fhir+json');
    expect(text).toContain('&quot;searchset&quot;');
    expect(text).toContain(`curl --cookie rounds.cookies &#39;http://127.0.0.1:8787${path}&#39;`);
    expect(text).toContain('SANDBOX');
  });

  it('shows a refusal with what to do, and nothing of a value as HTML', async () => {
    const { site, parts } = await consoleOf(shared);
    const routes = apiRoutes(site, parts);
    const evil = `"><script>alert(1)</script>'`;
    const refused = await ask(routes, 'POST', '/api', { op: 'readPatient', 'p-id': evil });
    expect(refused.text).toContain('CONSOLE_ASK_INVALID');
    const found = await ask(routes, 'POST', '/api', { op: 'searchPatients', 'p-family': evil });
    for (const { text } of [refused, found]) {
      expect(text).not.toContain('<script>alert');
      expect(text).toContain('&lt;script&gt;');
    }
    // The command is one word for a shell, whatever was written.
    expect(found.text).toContain('family=%22%3E%3Cscript%3Ealert%281%29%3C%2Fscript%3E%27');
    const rule = await ask(routes, 'POST', '/api', {
      op: 'searchObservationOfPatient',
      'p-patient_id': CAMILA,
    });
    expect(rule.text).toContain('59108');
  });

  it('sends what is written for any search, and tells requests of POST how to carry their token', async () => {
    const { site, parts } = await consoleOf(shared);
    const routes = apiRoutes(site, parts);
    const found = await ask(routes, 'POST', '/api', {
      ...{ op: 'searchAny', 'p-type': 'Condition' },
      'p-others': `patient=${CAMILA}&clinical-status=active`,
    });
    expect(found.text).toContain(`GET /fhir/Condition?patient=${CAMILA}&amp;clinical-status=active`);
    const { query } = shared.sandbox.requests.at(-1)!;
    expect(query).toBe(`patient=${CAMILA}&clinical-status=active`);
    const token = await ask(routes, 'POST', '/api', { op: 'requestToken' });
    expect(token.text).toContain('X-CSRF-Token: $TOKEN');
    expect(token.text).not.toContain('accessToken');
  });

  it('tells production from a sandbox at a glance, job by job', async () => {
    const site = await siteForTest({
      mail: false,
      settings: {
        '[job real] epic_settings.epic_endpoint': 'https://fhir.hospital.example/api/FHIR/R4',
        '[job trial]': '',
      },
    });
    const { site: own, parts } = await consoleOf(site);
    const { text } = await ask(apiRoutes(own, parts), 'GET', '/api?op=readPatient');
    expect(text).toMatch(
      /class="environment production"\s*>\s*<strong>PRODUCTION<\/strong> fhir\.hospital\.example/,
    );
    expect(text).toMatch(/class="environment sandbox"\s*>\s*<strong>SANDBOX<\/strong> 127\.0\.0\.1/);
    expect(text).toMatch(/<option[^>]*>real<\/option>/);
  });
});

describe('JSON with a line for each member', () => {
  it('keeps every token as it came', () => {
    const text =
      '{"a":1.50,"b":[1e400,-0,12345678901234567890],"c":"{\\"x\\": [1]} \\u00e9","d":{},"e":[],"f":[{}]}';
    const shown = indentJson(text, 10_000).text;
    expect(shown).toBe(`{
  "a": 1.50,
  "b": [
    1e400,
    -0,
    12345678901234567890
  ],
  "c": "{\\"x\\": [1]} \\u00e9",
  "d": {},
  "e": [],
  "f": [
    {}
  ]
}`);
    expect(indentJson(shown, 10_000).text).toBe(shown);
  });

  it('stops where nobody reads on, and takes what is no JSON', () => {
    const long = JSON.stringify(Array.from({ length: 1000 }, (_, n) => n));
    const { text, isWhole } = indentJson(long, 100);
    expect(isWhole).toBe(false);
    expect(text.length).toBeLessThan(200);
    expect(indentJson('<html> "half', 100).isWhole).toBe(true);
  });
});
