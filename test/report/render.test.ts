import { describe, expect, it } from 'vitest';
import { renderReport } from '../../src/report/render.ts';
import type { RunSummary } from '../../src/report/summary.ts';
import { causeOf, counts, largeSummary, markedSummary, summaryOf, typeOf } from './sampleSummary.ts';

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
    expect(render({ status: 'partial', searches: counts(2_203, 97, 97, 3) }).subject).toBe(
      'PARTIAL 3 of 2,400 searches failed, default: 8,849 resources of 8 patients, 97 gaps [20261122T020000Z-3f2a]',
    );
    const failure = {
      code: 'TOKEN_INVALID_CLIENT',
      message: 'the token was refused',
      hint: 'Look at the key.',
    };
    expect(render({ status: 'failed', failure, folder: undefined }).subject).toBe(
      'FAILED: token invalid client, default: none of 32 searches [20261122T020000Z-3f2a]',
    );
    const why = { ...failure, message: 'abandoned: the client id in the INI is another one now' };
    const abandoned = render({ status: 'abandoned', failure: why, folder: undefined });
    expect(abandoned.subject).toMatch(/^ABANDONED default: .* \[2026/);
    expect(abandoned.text).toContain('Abandoned: the client id in the INI is another one now.');
  });

  it('names a type that was refused for every patient, when that alone makes the run partial', () => {
    const types = [typeOf('Patient', 8, counts(8, 0, 0, 0), 8), typeOf('Coverage', 0, counts(0, 0, 8, 0), 4)];
    expect(render({ status: 'partial', types, searches: counts(8, 0, 8, 0) }).subject).toContain(
      'PARTIAL 1 of 2 types refused for every patient, default: ',
    );
  });

  it('stays one line of ASCII whatever a code holds', () => {
    const failure = { code: 'X\r\nBcc: someone\u2014é', message: 'm', hint: 'h' };
    expect(render({ status: 'failed', failure }).subject).toMatch(/^[\x20-\x7e]+$/);
  });
});

describe('what is unlike the runs before', () => {
  const text = (given: Partial<RunSummary> = {}) =>
    renderReport(markedSummary(given), OPTIONS).text.replace(/\s+/g, ' ');

  it('stands on top, in words, before anything else is told', () => {
    const marks = text().slice(text().indexOf('Look at this'), text().indexOf('Last 14 runs'));
    for (const mark of [
      '! DocumentReference: no records at all; usual are 9,398 (median of 7 complete runs).',
      '! All types together: fell by 46 % to 54,244 records; usual are 99,607 (median of 7 complete runs).',
      '! Observation: fell by 45 % to 44,012 records; usual are 80,120 (median of 7 complete runs).',
      '! Goal: new, with 96 records; no run before had any.',
      '! New gaps: 12 searches of Observation ended with FHIR_ACCESS_DENIED (Epic 4134, HTTP 403); the runs before had none of these.',
      '! The certificate ends in 7 days, on 28 Nov 2026.',
      '! The disk of the exports is full in about 4 days: 310 MB are free, and a run takes 66.0 MB.',
    ]) {
      expect(marks).toContain(mark);
    }
    expect(text().indexOf('Look at this')).toBeLessThan(text().indexOf('Started'));
  });

  it('is counted in the subject, and takes "nothing to do" back', () => {
    const { subject } = renderReport(markedSummary(), OPTIONS);
    expect(subject).toBe(
      'OK default: 54,244 resources of 812 patients, 12 gaps, 7 things to look at [20261122T020000Z-3f2a]',
    );
    expect(text()).toContain('what is marked wants a look');
    const trend = { runs: 7, usualRecords: 8_000, marks: [{ kind: 'disk' } as const] };
    const soon = text({ trend, searches: counts(8, 0, 0, 0), causes: [] });
    expect(soon).toContain('What is marked needs a person soon.');
    expect(soon).not.toContain('nothing to do');
  });

  it('is marked in the table too, beside the change against the run before and against the usual', () => {
    const rows = renderReport(markedSummary(), OPTIONS).text.split('\n');
    const last = (type: string) =>
      rows
        .findLast((line) => line.startsWith(`${type} `))
        ?.split(/\s+/)
        .slice(-2);
    expect(last('Observation')).toEqual(['-36,289', '-45%']);
    expect(last('Patient')).toEqual(['=', '=']);
    expect(last('Goal')).toEqual(['new', '-']);
    expect(last('Total')).toEqual(['-45,593', '-46%']);
    expect(text()).toContain('Usual: against the median of the last 7 complete runs.');
    const { html } = renderReport(markedSummary(), OPTIONS);
    expect(html).toMatch(/<td class="g" style="[^"]*">-45%<\/td>/);
  });

  it('says how many marks it left out', () => {
    const { marks } = markedSummary().trend!;
    const trend = { runs: 7, usualRecords: 8_000, marks: [...marks, ...marks, ...marks] };
    expect(text({ trend })).toContain('... and 9 more marks, see report.html in the folder');
  });
});

describe('the run among others', () => {
  const text = renderReport(markedSummary(), OPTIONS).text;
  const flat = text.replace(/\s+/g, ' ');

  it('shows the last runs as a strip, in text by letters and in HTML by bars', () => {
    expect(flat).toContain(
      'Last 14 runs: ...P..F....A.. (. complete, P partial, F failed, A abandoned; this one last)',
    );
    const { html } = renderReport(markedSummary(), OPTIONS);
    expect(html.match(/<td[^>]*><div class="i[cpfat]"/g)).toHaveLength(14);
    expect(html).toContain('title="12 Nov 2026: partial, 99,931 records"');
    expect(renderReport(summaryOf(), OPTIONS).text).not.toContain('Last');
  });

  it('tells where the time went, what was waited for, and what is left', () => {
    for (const fact of [
      'Records 54,244 in 4 files (66.9 MB); -46 % against the run before and the median of 7 complete runs',
      'Requests 6,212, 41 retried; the server asked for 3 pauses (1 min 35 s in all); it was away once (12 min 04 s in all)',
      'Slowest Observation 61 % of the time, 0.8 s each; DocumentReference 14 % of the time, 0.2 s each',
      'Disk 310 MB free; a run takes 66.0 MB: 4 days left, since retention keeps 30 runs',
      'Key 358 days old; its certificate ends in 7 days (28 Nov 2026)',
    ]) {
      expect(flat).toContain(fact);
    }
  });

  it('tells what it made up for, and what was given up before it', () => {
    expect(flat).toContain('Caught up: 1 appointed time passed without a run, the first Sat 21 Nov 2026');
    const given = {
      abandoned: { runId: '20261121T020000Z-91bc', status: 'abandoned' },
      retryOf: { runId: '20261120T020000Z-77aa', failed: 3 },
    } as const;
    const notes = renderReport(markedSummary(given), OPTIONS).text.replace(/\s+/g, ' ');
    expect(notes).toContain('Run 20261121T020000Z-91bc before this one was abandoned');
    expect(notes).toContain('asked again for the 3 searches that had failed there');
  });

  it('is RECOVERED after a run that was not complete', () => {
    const recovered = { runId: '20261121T020000Z-91bc', status: 'partial' } as const;
    const report = render({ recovered });
    expect(report.subject).toBe('RECOVERED default: 8,849 resources of 8 patients [20261122T020000Z-3f2a]');
    expect(report.text.replace(/\s+/g, ' ')).toContain(
      'All is well again: the run before, 20261121T020000Z-91bc, was partial.',
    );
  });
});

describe('text', () => {
  it('fits 76 columns, also with 40 types, 60 causes and large numbers', () => {
    for (const summary of [summaryOf(), largeSummary(), markedSummary()]) {
      for (const full of [false, true]) {
        const { text } = renderReport(summary, { ...OPTIONS, full });
        expect(text.split('\n').filter((line) => line.length > 76)).toEqual([]);
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
    expect(row('Patient')).toEqual(['Patient', '8', '1', '9.9', 'kB', '8', '0', '0', '0', '=', '-']);
    expect(row('Observation')?.slice(-2)).toEqual(['+12', '-']);
    expect(row('Condition')?.slice(-2)).toEqual(['-3', '-']);
    expect(row('MedicationRequest')?.slice(-2)).toEqual(['new', '-']);
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
      markedSummary(),
      summaryOf({ status: 'partial', causes: [failedCause, causeOf()], searches: counts(1, 1, 3, 3) }),
      summaryOf({ status: 'failed', types: [], folder: undefined }),
      summaryOf({ status: 'abandoned', types: [], folder: undefined, nextRunAtMs: undefined }),
    ].map((summary) => renderReport(summary, OPTIONS).html);

  it('is well-formed, with language, title and heads of rows and columns', () => {
    for (const html of pages()) {
      expect(imbalance(html)).toEqual([]);
      expect(html).toContain('<html lang="en">');
      expect(html).toMatch(/<title>(OK|PARTIAL|FAILED|ABANDONED)\b/);
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
    const [ok, , , partial] = pages();
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
