import type { ServerResponse } from 'node:http';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { BALLAST_FILE } from '../../src/run/ballast.ts';
import { startSandbox } from '../../src/sandbox/startSandbox.ts';
import { errorsOf, newestRun } from '../support/publishedRun.ts';
import { startRelay, type RelayedRequest } from '../support/relay.ts';
import { siteForTest, textsBelow } from '../support/site.ts';

const FHIR = '/interconnect-fhir-oauth/api/FHIR/R4';
/** What nobody but the exports may hold: a server's text, with what would break a page, a header, a sheet or a screen. */
const HOSTILE_TEXT =
  'CANARY<script>alert(1)</script>\r\nBcc: evil@evil.example\u001b]0;CANARY\u0007=HYPERLINK("http://evil.example")';

const HOSTILE = /CANARY|<script|evil|]0;/;

interface Answered {
  readonly status?: number;
  readonly body: unknown;
}

/** A site of so many patients whose Condition searches are answered by the test. */
async function siteAnswering(patients: number, answer: (patientId: string, ordinal: number) => Answered) {
  const sandbox = await startSandbox({ patients });
  onTestFinished(() => sandbox.close());
  const ordinals = new Map(Array.from({ length: patients }, (_, at) => [sandbox.patientIdAt(at)!, at]));
  const relay = await startRelay({
    to: sandbox.origin,
    answer: ({ url: text }: RelayedRequest, response: ServerResponse) => {
      const url = new URL(text, 'http://relay');
      const patientId = url.searchParams.get('patient') ?? '';
      if (url.pathname !== `${FHIR}/Condition`) return false;
      const { status = 200, body } = answer(patientId, ordinals.get(patientId)!);
      response.writeHead(status, { 'content-type': 'application/fhir+json' });
      response.end(typeof body === 'string' ? body : JSON.stringify(body));
      return true;
    },
  });
  const site = await siteForTest({
    sandbox,
    resources: ['Condition'],
    settings: { 'epic_settings.epic_endpoint': `${relay.origin}${FHIR}`, 'api_settings.max_attempts': 1 },
  });
  return { site, sandbox, relay };
}

const searchset = (...resources: readonly unknown[]): unknown => ({
  resourceType: 'Bundle',
  type: 'searchset',
  entry: resources.map((resource) => ({ resource, search: { mode: 'match' } })),
});

const outcome = (text: string) => ({
  resourceType: 'OperationOutcome',
  id: text,
  text: { status: 'generated', div: `<div>${text}</div>` },
  issue: [
    {
      severity: 'error',
      code: text,
      diagnostics: text,
      details: { text, coding: [{ system: text, code: text, display: text }] },
      location: [text],
      expression: [text],
    },
  ],
});

describe('what a server writes', () => {
  it('as an OperationOutcome is repeated nowhere: not in files, mails, logs or on the screen', async () => {
    const answers: readonly Answered[] = [
      { status: 403, body: outcome(HOSTILE_TEXT) },
      { status: 400, body: outcome(HOSTILE_TEXT) },
      { status: 404, body: `<html>${HOSTILE_TEXT}</html>` },
      { status: 500, body: outcome(HOSTILE_TEXT) },
      {
        status: 200,
        body: {
          ...(searchset() as object),
          entry: [{ resource: outcome(HOSTILE_TEXT), search: { mode: 'outcome' } }],
        },
      },
      { status: 200, body: `{"resourceType":"Bundle","type":"searchset",${HOSTILE_TEXT}` },
      { status: 200, body: outcome(HOSTILE_TEXT) },
    ];
    const { site, sandbox } = await siteAnswering(8, (patientId, ordinal) => {
      const subject = { reference: `Patient/${patientId}` };
      return answers[ordinal] ?? { body: searchset({ resourceType: 'Condition', id: 'kept', subject }) };
    });
    const { stdout, stderr } = await site.run(['run']);
    const published = await newestRun(site);
    expect(published.lines.map(({ id }) => id)).toEqual(['kept']);
    expect((await errorsOf(published)).length).toBeGreaterThanOrEqual(5);
    const shown = await site.run(['show', published.runId]);
    const texts = new Map([
      ['stdout', stdout],
      ['stderr', stderr],
      ['show', shown.stdout + shown.stderr],
      ['mail', sandbox.smtp!.mails.map(({ raw }) => raw).join('')],
      ...(await textsBelow(site.exportFolder)),
      ...(await textsBelow(site.logFolder)),
      ...(await textsBelow(site.stateFolder)),
    ]);
    // Random bytes, which hold any short text now and then.
    texts.delete(BALLAST_FILE);
    expect(texts.size).toBeGreaterThan(8);
    for (const [name, text] of texts) {
      expect(`${name} ${HOSTILE.exec(text)?.[0]}`).toBe(`${name} undefined`);
    }
  });

  it('as a resource of a hostile type or id makes no file of that name', async () => {
    const types = [
      '../../../escaped',
      '..',
      '/etc/escaped',
      'Condition/../../escaped',
      '__proto__',
      'constructor',
      'C:\\escaped',
      'con',
      'Condition\u0000',
      '',
    ];
    const { site } = await siteAnswering(types.length + 4, (patientId, ordinal) => {
      const subject = { reference: `Patient/${patientId}` };
      const ids = ['../../../escaped', '..', '__proto__', 'a\r\nb'];
      const resource =
        ordinal < types.length
          ? { resourceType: types[ordinal], id: 'x', subject }
          : { resourceType: 'Condition', id: ids[ordinal - types.length], subject };
      return { body: searchset(resource) };
    });
    const before = (await readdir(site.folder)).toSorted();
    const { code } = await site.run(['run']);
    // Nothing can be trusted, so nothing is published, or what could be is and the rest is failed.
    expect([1, 3]).toContain(code);
    const after = (await readdir(site.folder, { recursive: true })).map((name) => path.basename(name));
    expect(after.filter((name) => /escaped|__proto__|constructor|^con$/.test(name))).toEqual([]);
    const own = ['exports', 'logs', 'state'];
    expect((await readdir(site.folder)).filter((name) => !own.includes(name)).toSorted()).toEqual(
      before.filter((name) => !own.includes(name)),
    );
  });

  it('as a key `__proto__` stays data: the resource is written byte for byte, and nothing else changes', async () => {
    const textOf = (patientId: string) =>
      `{"resourceType":"Condition","id":"c","__proto__":{"polluted":"yes","id":"evil"},"constructor":{"prototype":{"polluted":"yes"}},"subject":{"reference":"Patient/${patientId}"},"note":[{"text":"=HYPERLINK(\\"http://evil.example\\")"}]}`;
    let asked = '';
    const { site } = await siteAnswering(1, (patientId) => {
      asked = patientId;
      return {
        body: `{"__proto__":{"link":[{"relation":"next","url":"http://evil.example"}]},"resourceType":"Bundle","type":"searchset","entry":[{"__proto__":{"search":{"mode":"outcome"}},"resource":${textOf(patientId)},"search":{"mode":"match"}}]}`,
      };
    });
    expect((await site.run(['run'])).code).toBe(0);
    const { lines } = await newestRun(site);
    expect(lines.map(({ text }) => text)).toEqual([textOf(asked)]);
  });

  it('as the name of its software cannot write to the terminal', async () => {
    const sandbox = await startSandbox({ patients: 1, smtp: false });
    onTestFinished(() => sandbox.close());
    const relay = await startRelay({
      to: sandbox.origin,
      answer: ({ url }, response) => {
        if (!url.endsWith('/metadata')) return false;
        response.writeHead(200, { 'content-type': 'application/fhir+json' });
        const resource = [{ type: 'Patient', interaction: [{ code: 'read' }] }];
        const software = { name: 'Nice\u001b[2J\u001b]0;owned\u0007\nok      default: token' };
        response.end(
          JSON.stringify({
            resourceType: 'CapabilityStatement',
            fhirVersion: '4.0.1',
            software,
            rest: [{ mode: 'server', resource }],
          }),
        );
        return true;
      },
    });
    const site = await siteForTest({
      sandbox,
      resources: ['Patient'],
      mail: false,
      settings: { 'epic_settings.epic_endpoint': `${relay.origin}${FHIR}` },
    });
    const { stdout } = await site.run(['check']);
    expect(stdout).toContain('Nice');
    expect(stdout).not.toContain('\u001b');
    expect(stdout).not.toMatch(/^ok {6}default: token$/m);
  });
});

describe('what a person or another program writes', () => {
  const small = { sandbox: { patients: 2 }, resources: ['Patient'] } as const;

  it.each([
    ['../../${ResourceType}.ndjson'],
    ['/etc/${ResourceType}.ndjson'],
    ['${ResourceType}/../x.ndjson'],
  ])('as a file pattern %s is refused', async (pattern) => {
    const site = await siteForTest({
      ...small,
      mail: false,
      settings: { 'file_patterns.resource_data_file': pattern },
    });
    const { code, stderr } = await site.run(['run']);
    expect(code).toBe(2);
    expect(stderr).toContain('resource_data_file');
  });

  it('as a patient’s id stops the run before its first request, each with its line', async () => {
    const ids = ['..', '.', '../admin', 'a/b', 'a?b=c', 'a#b', 'a%2fb', 'a b', 'a\\b'];
    const rows = ids.map((id) => `"${id}"\n`).join('');
    const site = await siteForTest({ ...small, mail: false, roster: `fhir_id\n${rows}` });
    const { code, stderr } = await site.run(['run']);
    expect(code).toBe(2);
    expect(stderr).toContain('INPUT_INVALID');
    for (const at of ids.keys()) expect(stderr).toContain(`roster.csv:${at + 2}:`);
    expect(site.sandbox.counts().total).toBe(0);
  });

  it('as a resource type stops the run before its first request, each with its line', async () => {
    const types = [
      '../Patient',
      'Patient/..',
      '__proto__',
      'constructor',
      'Patient?x=1',
      '=cmd',
      'patient',
      'Pätient',
    ];
    const rows = types.map((type) => `"${type}"\n`).join('');
    const site = await siteForTest({ ...small, mail: false, resources: `resource\n${rows}` });
    const { code, stderr } = await site.run(['run']);
    expect(code).toBe(2);
    for (const at of types.keys()) expect(stderr).toContain(`resources.csv:${at + 2}:`);
    expect(site.sandbox.counts().total).toBe(0);
  });

  it('as formulas and markup in the roster’s other columns reaches no file, mail or screen', async () => {
    const site = await siteForTest(small);
    const { writeFile } = await import('node:fs/promises');
    const ids = [0, 1].map((ordinal) => site.sandbox.patientIdAt(ordinal)!);
    await writeFile(
      site.rosterFile,
      `fhir_id,name,__proto__\n${ids[0]},"=HYPERLINK(""http://evil.example"")",CANARY\n${ids[1]},"<script>CANARY</script>\r\nBcc: x@evil.example",@SUM(1)\n`,
    );
    const { code, stdout, stderr } = await site.run(['run']);
    expect(code).toBe(0);
    const all = [
      stdout,
      stderr,
      ...site.sandbox.smtp!.mails.map(({ raw }) => raw),
      ...(await textsBelow(site.exportFolder)).values(),
      ...(await textsBelow(site.logFolder)).values(),
      ...(await textsBelow(site.stateFolder)).values(),
    ].join('\n');
    expect(all).not.toMatch(/CANARY|HYPERLINK|@SUM|evil\.example/);
  });

  it.each([
    ['FHIR_ROUNDS_EMAIL_NOTIFICATION_TO', 'a@hospital.example\r\nBcc: evil@evil.example'],
    ['FHIR_ROUNDS_EMAIL_NOTIFICATION_FROM', 'X\r\nBcc: evil <a@hospital.example>'],
    ['FHIR_ROUNDS_EMAIL_SMTP_USER', 'user\r\nRCPT TO:<evil@evil.example>'],
    ['FHIR_ROUNDS_OAUTH_SETTINGS_CLIENT_ID', 'client\r\nX-Evil: 1'],
    ['FHIR_ROUNDS_EPIC_SETTINGS_EPIC_ENDPOINT', 'https://fhir.example/R4\r\nX-Evil: 1'],
  ])('as a line break in %s is refused', async (name, value) => {
    const site = await siteForTest(small);
    const { code, stderr } = await site.run(['run'], { env: { [name]: value } });
    expect(code).toBe(2);
    expect(stderr).toContain('control character');
    expect(site.sandbox.smtp!.mails).toEqual([]);
  });

  it.each([
    '[__proto__]\npolluted = yes\n',
    '[paths]\n__proto__ = x\n',
    '[job __proto__]\nmethod = crawl\n',
    '[environment __proto__]\n',
  ])('as %j in the INI is refused', async (lines) => {
    const site = await siteForTest({ ...small, mail: false });
    const { appendFile } = await import('node:fs/promises');
    await appendFile(site.configFile, lines.startsWith('[paths]') ? '__proto__ = x\n' : lines);
    const { code, stderr } = await site.run(['check', '--offline']);
    expect(`${code} ${stderr}`).toMatch(/^2 .*CONFIG_INVALID/s);
  });
});
