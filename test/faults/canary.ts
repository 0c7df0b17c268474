import path from 'node:path';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { IncomingMessage } from 'node:http';
import { expect, onTestFinished } from 'vitest';
import { LEDGER_FILE } from '../../src/run/ledger.ts';
import { openDatabase } from '../../src/system/sqlite.ts';
import { siteKey, textsBelow, type Site } from '../support/site.ts';

/** Every token that a request carried while the test runs. */
export function watchTokens(): ReadonlySet<string> {
  const tokens = new Set<string>();
  const note = (message: unknown): void => {
    const { authorization } = (message as { request: IncomingMessage }).request.headers;
    if (authorization?.startsWith('Bearer ')) tokens.add(authorization.slice('Bearer '.length));
  };
  subscribe('http.server.request.start', note);
  onTestFinished(() => {
    unsubscribe('http.server.request.start', note);
  });
  return tokens;
}

/** Names, ids, MRNs and birth dates of patients, as words that may stand nowhere. */
export function wordsOf(patients: readonly PatientResource[]): ReadonlySet<string> {
  const words = new Set<string>();
  for (const { id, identifier = [], name = [], birthDate } of patients) {
    words.add(id);
    for (const { value } of identifier) words.add(value);
    // Shorter names are also words of reports; the family names of the sandbox are long enough.
    for (const { family, given = [], text = '' } of name) {
      for (const word of [family ?? '', ...given, ...text.split(' ')]) if (word.length > 3) words.add(word);
    }
    if (birthDate !== undefined) words.add(birthDate);
  }
  return words;
}

export interface PatientResource {
  readonly id: string;
  readonly identifier?: readonly { readonly value: string }[];
  readonly name?: readonly {
    readonly family?: string;
    readonly given?: readonly string[];
    readonly text?: string;
  }[];
  readonly birthDate?: string;
}

const TOLD = /(report\.(txt|html)|log\.ndjson|manifest\.json|current\.json|OperationOutcome\.ndjson)$/;

/** Everything that others than the export's reader may see, by where it stands: logs, mails, reports, errors. */
async function visibleTexts(
  site: Site,
  shown: Readonly<Record<string, string>>,
): Promise<ReadonlyMap<string, string>> {
  const all = new Map(Object.entries(shown));
  const decode = (text: string): string => Buffer.from(text, 'latin1').toString('utf8');
  for (const [name, text] of await textsBelow(site.logFolder)) all.set(`log ${name}`, decode(text));
  for (const [name, text] of await textsBelow(site.exportFolder)) {
    if (TOLD.test(name)) all.set(name, decode(text));
  }
  const db = openDatabase(path.join(site.stateFolder, LEDGER_FILE), { readOnly: true });
  try {
    for (const table of [
      'runs',
      'outbox',
      'commits',
      'incidents',
      'audit',
      'holders',
      'schedules',
      'notices',
    ]) {
      const rows = db.prepare(`SELECT * FROM ${table}`).all() as Record<string, unknown>[];
      all.set(`ledger ${table}`, rows.map((row) => Object.values(row).map(String).join('\n')).join('\n'));
    }
  } finally {
    db.close();
  }
  return all;
}

/** The scan: no PHI, no token, no assertion, nothing of the key. */
export async function expectNoLeak(
  site: Site,
  shown: Readonly<Record<string, string>>,
  phi: ReadonlySet<string>,
  tokens: ReadonlySet<string>,
): Promise<void> {
  const secrets = [...tokens].map((token) => token.slice(0, 60));
  secrets.push(
    ...siteKey()
      .pem.split('\n')
      .filter((line) => /^[A-Za-z0-9+/]{60,}$/.test(line)),
  );
  const found: string[] = [];
  const texts = await visibleTexts(site, shown);
  // The scan itself must be able to see something.
  expect([...texts.values()].join('\n')).toContain('fhir-rounds');
  for (const [where, text] of texts) {
    for (const [word] of text.matchAll(/[\p{L}\d][\p{L}\d._'’-]*/gu)) {
      if (phi.has(word) || phi.has(word.replace(/[.'’-]+$/, ''))) found.push(`${where}: ${word}`);
    }
    if (secrets.some((secret) => text.includes(secret))) found.push(`${where}: a secret`);
    if (/\beyJ[\w-]{20,}\.[\w-]{20,}/.test(text)) found.push(`${where}: an assertion`);
  }
  expect(found).toEqual([]);
}
