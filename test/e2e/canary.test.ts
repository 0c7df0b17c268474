import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { IncomingMessage } from 'node:http';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LEDGER_FILE } from '../../src/run/ledger.ts';
import type { FaultRule } from '../../src/sandbox/startSandbox.ts';
import { openDatabase } from '../../src/system/sqlite.ts';
import type { CliResult } from '../support/cli.ts';
import { makeSite, siteKey, textsBelow, type Site } from '../support/site.ts';

/**
 * Every name, id, MRN, note and date of these patients holds a word that occurs nowhere else. What a person other
 * than the export's reader may see must not hold it, nor a token, an assertion or the key.
 */
const CANARY = 'Kanari';
const BIRTH_DATES = ['1887-03-14', '1887-05-26', '1887-07-09'];

function population(): Readonly<Record<string, readonly object[]>> {
  const subject = (n: number) => ({ reference: `Patient/${CANARY}Id${n}`, display: `${CANARY}Display${n}` });
  const patients = BIRTH_DATES.map((birthDate, n) => ({
    resourceType: 'Patient',
    id: `${CANARY}Id${n}`,
    identifier: [{ system: 'urn:mrn', value: `${CANARY}Mrn${n}` }],
    name: [{ family: `${CANARY}Family${n}`, given: [`${CANARY}Given${n}`] }],
    birthDate,
  }));
  const each = (resourceType: string, fields: object) =>
    BIRTH_DATES.flatMap((_, n) =>
      [0, 1, 2].map((k) => ({
        resourceType,
        id: `${CANARY}${resourceType}${n}-${k}`,
        subject: subject(n),
        ...fields,
      })),
    );
  const note = [{ text: `${CANARY}Note` }];
  return {
    Patient: patients,
    Condition: each('Condition', { note, code: { text: `${CANARY}Diagnosis` } }),
    Procedure: each('Procedure', {
      note,
      performer: [{ actor: { reference: `Practitioner/${CANARY}Doctor` } }],
    }),
    Goal: each('Goal', { description: { text: `${CANARY}Goal` } }),
    Practitioner: [
      { resourceType: 'Practitioner', id: `${CANARY}Doctor`, name: [{ family: `${CANARY}Doc` }] },
    ],
  };
}
const TYPES = ['Patient', 'Condition', 'Procedure', 'Goal', 'Practitioner'];

const outcome = (code: string) =>
  JSON.stringify({
    resourceType: 'OperationOutcome',
    issue: [
      {
        severity: 'error',
        code: 'processing',
        diagnostics: `${CANARY}Diagnostics of Patient/${CANARY}Id0`,
        details: {
          text: `${CANARY}Details`,
          coding: [{ system: `urn:${CANARY}`, code, display: `${CANARY}Word` }],
        },
      },
    ],
  });

/** What servers do wrong, each time with PHI in what they say. */
const TROUBLES: Readonly<Record<string, readonly FaultRule[]>> = {
  'a refusal that quotes the patient': [
    {
      match: { endpoint: 'search', type: 'Condition', patient: 0 },
      then: { status: 403, body: outcome('4134') },
    },
    { match: { endpoint: 'search', type: 'Goal', patient: 1 }, then: { status: 400, body: outcome('4102') } },
    { match: { endpoint: 'read', type: 'Practitioner' }, then: { status: 404, body: outcome('4101') } },
  ],
  'failures, broken JSON and a web page': [
    { match: { endpoint: 'search', type: 'Condition', patient: 0 }, then: { badJson: true } },
    {
      match: { endpoint: 'search', type: 'Condition', patient: 1 },
      then: { status: 500, body: outcome('40000') },
    },
    { match: { endpoint: 'search', type: 'Goal', patient: 1 }, then: { html: true } },
    { match: { endpoint: 'search', type: 'Goal', patient: 2 }, then: { cutBodyAt: 0.5 } },
  ],
  'another patient’s resource, another type, another server': [
    { match: { endpoint: 'search', type: 'Condition', patient: 0 }, then: { foreignEntry: 'patient' } },
    { match: { endpoint: 'search', type: 'Condition', patient: 1 }, then: { foreignEntry: 'type' } },
    {
      match: { endpoint: 'search', type: 'Goal', patient: 0 },
      then: { next: 'foreign', origin: `http://${CANARY}.example` },
    },
    {
      match: { endpoint: 'search', type: 'Goal', patient: 1 },
      then: { redirectTo: `http://127.0.0.1:9/${CANARY}Redirect` },
    },
    { match: { endpoint: 'search', type: 'Procedure', patient: 1 }, then: { duplicateEntry: 'differing' } },
  ],
  'refused tokens': [
    { match: { endpoint: 'search' }, when: { every: 3 }, then: { status: 401, body: outcome('4131') } },
    {
      match: { endpoint: 'read', type: 'Patient', patient: 2 },
      then: { status: 401, body: outcome('4131') },
    },
  ],
};
const REFUSED_CLIENT: readonly FaultRule[] = [
  {
    match: { endpoint: 'token' },
    then: { status: 400, body: `{"error":"invalid_client","error_description":"${CANARY}Client"}` },
  },
];

let site: Site;
let dataDir: string;
const results: (readonly [what: string, result: CliResult])[] = [];
/** Every token that a request carried. */
const tokens = new Set<string>();
const noteToken = (message: unknown) => {
  const { authorization } = (message as { request: IncomingMessage }).request.headers;
  if (authorization?.startsWith('Bearer ')) tokens.add(authorization.slice('Bearer '.length));
};

async function act(
  what: string,
  args: readonly string[],
  faults: readonly FaultRule[] = [],
): Promise<CliResult> {
  site.sandbox.setFaults(faults);
  const result = await site.run(args);
  results.push([what, result]);
  return result;
}

const HEADER = `name,fhir_id,mrn,${CANARY}Column\n`;
const ROSTER =
  HEADER +
  `"${CANARY}Family0, Given",${CANARY}Id0,,x\n` +
  `"${CANARY}Family1",${CANARY}Id1,,x\n` +
  `"${CANARY}Family2",,${CANARY}Mrn2,x\n` +
  `"${CANARY}Nobody",,${CANARY}Mrn9,x\n`;

beforeAll(async () => {
  subscribe('http.server.request.start', noteToken);
  dataDir = await mkdtemp(path.join(tmpdir(), 'fhir-rounds-e2e-data-'));
  for (const [type, resources] of Object.entries(population())) {
    await writeFile(
      path.join(dataDir, `${type}.ndjson`),
      resources.map((one) => JSON.stringify(one)).join('\n'),
    );
  }
  site = await makeSite({
    sandbox: { dataDir, latencyMs: 20 },
    roster: ROSTER,
    resources: TYPES,
    settings: {
      'data_sources.mrn_system': 'urn:mrn',
      'api_settings.max_attempts': 2,
      'api_settings.page_size': 2,
      'logging.level': 'debug',
      'logging.target': 'both',
    },
  });

  await act('success', ['run']);
  for (const [what, faults] of Object.entries(TROUBLES)) await act(what, ['run'], faults);
  await act('retry', ['run', '--retry-failed']);
  await act('refused client', ['run', '--json'], REFUSED_CLIENT);
  site.sandbox.setFaults([]);
  const from = site.sandbox.counts().total;
  const killed = await site.stopWhen(() => site.sandbox.counts().total - from > 8, 'SIGKILL', ['run']);
  results.push(['killed', killed]);
  await act('status', ['status', '--json']);
  await act('resumed', ['run']);
  await writeFile(
    site.rosterFile,
    `${ROSTER}"${CANARY}Bad",${CANARY} Id?x=1,,x\n"${CANARY}Twice",${CANARY}Id0,,x\n`,
  );
  await act('a bad roster', ['run']);
  await writeFile(site.rosterFile, `${HEADER}"${CANARY}Open quote,${CANARY}Id0\n`);
  await act('a broken CSV', ['check']);
  await writeFile(site.rosterFile, ROSTER);
  await act('wrong list', ['check']);
  await act('runs', ['runs', '--json']);
}, 120_000);
afterAll(async () => {
  unsubscribe('http.server.request.start', noteToken);
  await site.close();
  await rm(dataDir, { recursive: true, force: true });
});

/** A mail as its reader sees it: quoted-printable and base64 undone. */
function decoded(raw: string): string {
  const plain = raw
    .replace(/=\r?\n/g, '')
    .replace(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)));
  const blocks = raw.match(/(?:^[A-Za-z0-9+/=]{40,}\r?$\n?)+/gm) ?? [];
  return [raw, plain, ...blocks.map((block) => Buffer.from(block, 'base64').toString('utf8'))].join('\n');
}

/** Rows of those tables of the ledger that hold no ids by design. */
function ledgerTexts(): ReadonlyMap<string, string> {
  const db = openDatabase(path.join(site.stateFolder, LEDGER_FILE), { readOnly: true });
  try {
    const tables = ['runs', 'holders', 'outbox', 'commits', 'incidents', 'audit', 'schedules', 'notices'];
    return new Map(
      tables.map((table) => [table, JSON.stringify(db.prepare(`SELECT * FROM ${table}`).all())]),
    );
  } finally {
    db.close();
  }
}

/** Everything that others than the export's reader may see, by where it stands. */
async function seen(): Promise<ReadonlyMap<string, string>> {
  const all = new Map<string, string>();
  for (const [what, { stdout, stderr }] of results) {
    all.set(`stdout of ${what}`, stdout);
    all.set(`stderr of ${what}`, stderr);
  }
  for (const [name, text] of await textsBelow(site.logFolder)) all.set(`log ${name}`, text);
  for (const { raw, subject } of site.sandbox.smtp!.mails) all.set(`mail ${subject}`, decoded(raw));
  for (const [table, text] of ledgerTexts()) all.set(`ledger ${table}`, text);
  const told = /(report\.(txt|html)|log\.ndjson|manifest\.json|current\.json|OperationOutcome\.ndjson)$/;
  for (const [name, text] of await textsBelow(site.exportFolder)) if (told.test(name)) all.set(name, text);
  for (const folder of [site.exportFolder, site.stateFolder, site.logFolder]) {
    all.set(`names in ${path.basename(folder)}`, (await readdir(folder, { recursive: true })).join('\n'));
  }
  return all;
}

describe('what people may see', () => {
  it('comes of runs that went as this test means them to go', () => {
    const codes = results.map(([what, { code }]) => `${what}: ${code}`);
    expect(codes).toEqual([
      'success: 0',
      'a refusal that quotes the patient: 0',
      'failures, broken JSON and a web page: 3',
      'another patient’s resource, another type, another server: 3',
      'refused tokens: 3',
      'retry: 0',
      'refused client: 1',
      'killed: undefined',
      'status: 1',
      'resumed: 0',
      'a bad roster: 2',
      'a broken CSV: 2',
      'wrong list: 0',
      'runs: 0',
    ]);
  });

  it('holds no PHI: no name, id, MRN, note or date of a patient, and nothing a server said', async () => {
    const all = await seen();
    expect([...all.keys()].filter((where) => where.startsWith('mail')).length).toBeGreaterThan(6);
    expect([...all.keys()].some((where) => where.endsWith('error/OperationOutcome.ndjson'))).toBe(true);
    expect([...all.keys()].some((where) => where.startsWith('log '))).toBe(true);
    const found = [...all].flatMap(([where, text]) =>
      [...text.matchAll(new RegExp(`${CANARY}\\w*|${BIRTH_DATES.join('|')}`, 'gi'))].map(
        ([word]) => `${where}: ${word}`,
      ),
    );
    expect(found).toEqual([]);
  });

  it('holds no token, no assertion and nothing of the key', async () => {
    expect(tokens.size).toBeGreaterThan(3);
    const secrets = [...tokens].flatMap((token) => [token, ...token.split('.')]);
    secrets.push(
      ...siteKey()
        .pem.split('\n')
        .filter((line) => /^[A-Za-z0-9+/]{60,}$/.test(line)),
    );
    secrets.push(site.sandbox.smtp!.pass);
    const found = [...(await seen())]
      .filter(
        ([, text]) =>
          secrets.some((secret) => text.includes(secret)) || /\beyJ[\w-]{20,}\.[\w-]{20,}/.test(text),
      )
      .map(([where]) => where);
    expect(found).toEqual([]);
  });

  it('has its counterpart in the export, where the canaries are: the test can see them', async () => {
    const published = await textsBelow(site.exportFolder);
    const data = [...published].filter(([name]) => name.endsWith('Condition.ndjson'));
    expect(data.length).toBeGreaterThan(3);
    for (const [name, text] of data) expect(text, name).toContain(`${CANARY}Diagnosis`);
  });
});
