import { describe, expect, it } from 'vitest';
import { renderReport } from '../../src/report/render.ts';
import type { RunSummary } from '../../src/report/summary.ts';
import { causeOf, counts, largeSummary, summaryOf, typeOf } from './sampleSummary.ts';

const OPTIONS = { timezone: 'Europe/Berlin', locale: 'en' } as const;
const render = (given: Partial<RunSummary> = {}) => renderReport(summaryOf(given), OPTIONS);
const failedCause = causeOf({
  outcome: 'failed',
  code: 'HTTP_SERVER',
  failure: 'transient',
  epicCode: undefined,
  httpStatus: 503,
  hint: 'The server failed; it is asked again later.',
});

const VOID = new Set(['meta', 'br', 'col', '!doctype']);

/** What is wrong with the nesting of a page's tags; empty when nothing is. */
function imbalance(html: string): string[] {
  const wrong: string[] = [];
  const open: string[] = [];
  for (const [, slash, rawName] of html.matchAll(
    /<(\/?)([!a-z][a-z0-9]*)(?:\s+[a-z-]+(?:="[^"<>]*")?)*\s*>/gi,
  )) {
    const name = rawName!.toLowerCase();
    if (VOID.has(name)) continue;
    if (slash === '') open.push(name);
    else if (open.pop() !== name) wrong.push(name);
  }
  // Each "<" must have been the start of a well-formed tag.
  const tags = html.match(/<\/?[!a-z][a-z0-9]*(?:\s+[a-z-]+(?:="[^"<>]*")?)*\s*>/gi) ?? [];
  if (tags.length !== (html.match(/</g) ?? []).length) wrong.push('stray <');
  return [...wrong, ...open];
}

describe('subject', () => {
  it('says the verdict first, and the run id last', () => {
    expect(render().subject).toBe('OK default: 8,849 resources of 8 patients [20261122T020000Z-3f2a]');
    expect(render({ searches: counts(20, 10, 2, 0) }).subject).toBe(
      'OK default: 8,849 resources of 8 patients, 2 gaps [20261122T020000Z-3f2a]',
    );
    expect(render({ status: 'partial', searches: counts(2_300, 97, 0, 3) }).subject).toBe(
      'PARTIAL default: 3 of 2,400 searches failed [20261122T020000Z-3f2a]',
    );
    const failure = {
      code: 'TOKEN_INVALID_CLIENT',
      message: 'the token was refused',
      hint: 'Look at the key.',
    };
    expect(render({ status: 'failed', failure, folder: undefined }).subject).toBe(
      'FAILED default: TOKEN_INVALID_CLIENT [20261122T020000Z-3f2a]',
    );
    expect(render({ status: 'abandoned', folder: undefined }).subject).toMatch(
      /^ABANDONED default: .* \[2026/,
    );
  });

  it('names a type that was refused for every patient, when that alone makes the run partial', () => {
    const types = [typeOf('Patient', 8, counts(8, 0, 0, 0), 8), typeOf('Coverage', 0, counts(0, 0, 8, 0), 4)];
    expect(render({ status: 'partial', types, searches: counts(8, 0, 8, 0) }).subject).toContain(
      'PARTIAL default: 1 of 2 types refused for every patient',
    );
  });

  it('stays one line of ASCII whatever a code holds', () => {
    const failure = { code: 'X\r\nBcc: someone\u2014é', message: 'm', hint: 'h' };
    expect(render({ status: 'failed', failure }).subject).toMatch(/^[\x20-\x7e]+$/);
  });
});

describe('text', () => {
  it('fits 78 columns, also with 40 types, 60 causes and large numbers', () => {
    for (const summary of [summaryOf(), largeSummary()]) {
      for (const full of [false, true]) {
        const { text } = renderReport(summary, { ...OPTIONS, full });
        expect(text.split('\n').filter((line) => line.length > 78)).toEqual([]);
      }
    }
  });

  it('tells when, how long, where, and what comes next', () => {
    const { text } = render();
    expect(text).toContain('Started   Sun 22 Nov 2026, 03:00:00 +01:00 (Europe/Berlin)');
    expect(text).toContain('Duration  3 min 12 s');
    expect(text).toContain('Server    fhir.example.org (sandbox)');
    expect(text).toContain('Folder    /srv/exports/default/20261122T020000Z-3f2a');
    expect(text).toContain('Next run  Mon 23 Nov 2026, 03:00:00 +01:00 (Europe/Berlin)');
    expect(text).toContain('fhir-rounds 0.1.0');
    expect(text).toContain('nothing to do');
  });

  it('has a row for each type with its change since the previous run', () => {
    const rows = render().text.split('\n');
    const row = (type: string) => rows.find((line) => line.startsWith(`${type} `))?.split(/\s+/);
    expect(row('Patient')).toEqual(['Patient', '8', '1', '9.9', 'kB', '8', '0', '0', '0', '=']);
    expect(row('Observation')?.at(-1)).toBe('+12');
    expect(row('Condition')?.at(-1)).toBe('-3');
    expect(row('MedicationRequest')?.at(-1)).toBe('new');
    expect(row('Total')?.slice(0, 3)).toEqual(['Total', '8,849', '4']);
    const first = render({ previousRunId: undefined }).text.split('\n');
    expect(
      first
        .find((line) => line.startsWith('Observation '))
        ?.split(/\s+/)
        .at(-1),
    ).toBe('-');
  });

  it('groups failures before gaps, by cause, with hint, types and roster lines', () => {
    const { text } = render({
      status: 'partial',
      searches: counts(2_300, 80, 17, 3),
      causes: [
        causeOf({ resourceType: 'Condition', searches: 3 }),
        causeOf({ searches: 14, rosterLines: [7, 9, 118, 240, 301, 400] }),
        failedCause,
      ],
      current: { runId: '20261121T020000Z-91bc', ageMs: 93_600_000 },
    });
    expect(text.indexOf('HTTP_SERVER')).toBeLessThan(text.indexOf('FHIR_ACCESS_DENIED'));
    expect(text).toContain('FHIR_ACCESS_DENIED (Epic 4134, HTTP 403): 17');
    expect(text.match(/The Epic user may not see this/g)).toHaveLength(1);
    expect(text.replace(/\s+/g, ' ')).toContain(
      '14 Observation roster:7, roster:9, roster:118, roster:240, roster:301 and 9 more',
    );
    expect(text).toContain('20261121T020000Z-91bc, 26 hours old: it did not move');
    expect(text).toContain('fhir-rounds run default --retry-failed');
    expect(text.replace(/\s+/g, ' ')).toContain('a person has to act');
  });

  it('lists notes, merged patients and repeats', () => {
    const text = render({
      notes: ['Coverage is not offered by this server.'],
      merged: [
        { rosterLine: 12, sameAsLine: 4 },
        { rosterLine: 90, sameAsLine: undefined },
      ],
      duplicates: { same: 38, differing: 2 },
    }).text.replace(/\s+/g, ' ');
    expect(text).toContain('- Coverage is not offered by this server.');
    expect(text).toContain('roster:12 and roster:4 are one patient (a merged record');
    expect(text).toContain('roster:90 is a merged patient');
    expect(text).toContain('40 resources more than once');
    expect(text).toContain('2 differed');
  });
});

describe('html', () => {
  const pages = () =>
    [
      summaryOf(),
      largeSummary(),
      summaryOf({ status: 'partial', causes: [failedCause, causeOf()], searches: counts(1, 1, 3, 3) }),
      summaryOf({ status: 'failed', types: [], folder: undefined }),
      summaryOf({ status: 'abandoned', types: [], folder: undefined, nextRunAtMs: undefined }),
    ].map((summary) => renderReport(summary, OPTIONS).html);

  it('is well-formed, with language, title and heads of rows and columns', () => {
    for (const html of pages()) {
      expect(imbalance(html)).toEqual([]);
      expect(html).toContain('<html lang="en">');
      expect(html).toMatch(/<title>[A-Z]+ default: /);
    }
    expect(pages()[0]).toContain('<th scope="row" align="left">Observation</th>');
    expect(pages()[0]).toContain('<th scope="col" align="left">type</th>');
  });

  it('loads nothing and leads nowhere', () => {
    for (const html of pages()) {
      expect(html).not.toMatch(/https?:\/\/|<img|<script|<a |<link|url\(|@import/i);
    }
  });

  it('says the state in a word, in light and dark', () => {
    const [ok, partial] = pages();
    expect(ok).toContain('>OK</p>');
    expect(partial).toContain('>PARTIAL</p>');
    expect(ok).toContain('@media (prefers-color-scheme:dark)');
  });

  it('stays under 30 kB with 40 types and 60 causes, and says what it left out', () => {
    const mail = renderReport(largeSummary(), OPTIONS);
    expect(Buffer.byteLength(mail.html)).toBeLessThan(30_000);
    const shown = new Set(mail.html.match(/cause number \d+/g)).size;
    expect(mail.html).toMatch(/and \d+ more causes, see report\.html in the folder/);
    expect(mail.html).toContain(`and ${60 - shown} more causes`);
    const full = renderReport(largeSummary(), { ...OPTIONS, full: true });
    expect(new Set(full.html.match(/cause number \d+/g)).size).toBe(60);
    expect(new Set(full.text.match(/cause number \d+/g)).size).toBeGreaterThan(shown);
    expect(full.html).not.toContain('more causes');
  });

  it('stays under 30 kB also when every hint is long', () => {
    const summary = largeSummary();
    const causes = summary.causes.map((cause) => ({
      ...cause,
      hint: `${cause.hint} ${'More words. '.repeat(80)}`,
    }));
    expect(Buffer.byteLength(renderReport({ ...summary, causes }, OPTIONS).html)).toBeLessThan(30_000);
  });

  it('escapes every text that it is given', () => {
    const evil = `<script>alert("1")</script>&'https://evil.example/`;
    const html = renderReport(
      summaryOf({
        status: 'partial',
        programVersion: evil,
        jobName: evil,
        runId: evil,
        server: evil,
        environment: evil,
        folder: evil,
        previousRunId: evil,
        current: { runId: evil, ageMs: 1 },
        notes: [evil],
        types: [typeOf(evil, 1, counts(0, 0, 1, 1), 1)],
        causes: [
          causeOf({ hint: evil, code: evil, resourceType: evil, epicCode: evil }),
          { ...failedCause, hint: evil, code: evil, resourceType: evil },
        ],
        searches: counts(0, 0, 1, 1),
      }),
      OPTIONS,
    ).html;
    expect(html).not.toMatch(/<script|https:\/\//);
    expect(html).toContain('&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;&#39;evil.example/');
    expect(imbalance(html)).toEqual([]);
    const failure = { code: evil, message: evil, hint: evil };
    const failed = renderReport(summaryOf({ status: 'failed', failure }), OPTIONS).html;
    expect(failed).not.toMatch(/<script|https:\/\//);
    expect(imbalance(failed)).toEqual([]);
  });
});
