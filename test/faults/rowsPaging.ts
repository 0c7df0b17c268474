import { rosterOf } from '../support/site.ts';
import { always, ONE, once } from './rowsAnswers.ts';
import type { FaultRow } from './row.ts';

const NEXT = { endpoint: 'page', type: 'Condition' } as const;

const restarted = (title: string, faults: FaultRow['faults']): FaultRow => ({
  title,
  result: 'That search begins again at its first page; nothing is written twice.',
  faults: faults ?? [],
  expect: { exit: 0, duplicates: { same: 0, differing: 0 } },
});

const looping = (title: string, cycleLength: number, result: string): FaultRow => ({
  title,
  result,
  faults: [
    { match: { type: 'Condition', patient: 1, endpoint: 'search' }, then: { next: 'cycle', cycleLength } },
    { match: NEXT, then: { next: 'cycle', cycleLength } },
  ],
  rosterOrdinals: [1],
  roster: (sandbox) => rosterOf(sandbox, [1]),
  expect: {
    exit: 3,
    causes: ['failed Condition FHIR_PAGING_LOOP'],
    withheld: [{ type: 'Condition', patients: [1] }],
    requests: [4, 7 * (cycleLength + 5)],
  },
});

/** `npm run long` raises it. */
const MANY = Number(process.env['FHIR_ROUNDS_TEST_RESOURCES'] ?? 50_000);

/** One patient with very many small resources. */
function manyConditions(count: number): Readonly<Record<string, readonly (object | string)[]>> {
  return {
    Patient: [{ resourceType: 'Patient', id: 'one-with-many' }],
    Condition: Array.from(
      { length: count },
      (_, n) => `{"resourceType":"Condition","id":"c${n}","subject":{"reference":"Patient/one-with-many"}}`,
    ),
  };
}

/** Links, pages and servers that are away. */
export const PAGING_ROWS: readonly FaultRow[] = [
  restarted('a `next` link is answered 410', [{ match: NEXT, when: { nth: [1] }, then: { status: 410 } }]),
  restarted('a `next` link is answered with 4113 (the session has expired)', [
    { match: NEXT, when: { nth: [1] }, then: { status: 400, outcome: '4113' } },
  ]),
  {
    ...restarted('a `next` link names a session that is over', [
      { match: { ...ONE, page: 1 }, when: { nth: [1] }, then: { next: 'expired' } },
    ]),
    asProcess: true,
  },
  {
    title: 'every `next` link is answered 410, however often the search begins again',
    result: 'After two more beginnings the search fails; partial, exit 3.',
    faults: [{ match: NEXT, then: { status: 410 } }],
    expect: {
      exit: 3,
      causes: ['failed Condition FHIR_PAGING_EXPIRED'],
      partOf: ['Condition'],
      requests: [0, 80],
    },
  },
  {
    title: 'a `next` link is refused for good (403)',
    result: 'What came is kept; the rest is a gap.',
    faults: [{ match: NEXT, then: { status: 403 } }],
    expect: { exit: 0, causes: ['gap Condition HTTP_FORBIDDEN'], partOf: ['Condition'] },
  },
  {
    title: 'a `next` link leads back to its own page, once',
    result: 'Noticed; the search begins again.',
    faults: once({ next: 'self' }),
    expect: { exit: 0 },
  },
  {
    title: '`next` leads to the page itself for ever (a circle of 1)',
    result: 'Noticed at the second visit; the search fails, partial, exit 3.',
    faults: always({ next: 'self' }),
    expect: {
      exit: 3,
      causes: ['failed Condition FHIR_PAGING_LOOP'],
      withheld: [{ type: 'Condition', patients: [1] }],
      requests: [0, 60],
    },
  },
  looping(
    '`next` runs in a circle of 2 pages',
    2,
    'Noticed at the second visit; the search fails, the rest of the run comes.',
  ),
  looping(
    '`next` runs in a circle of 1,000 pages',
    1_000,
    'Noticed when a page comes for the second time; the search fails, the rest of the run comes.',
  ),
  {
    title: 'a `next` link leads to another server',
    result:
      'Refused before it is asked: neither a request nor the token goes there. A gap; what came is kept.',
    trap: true,
    faults: (_, trap) => [{ match: ONE, then: { next: 'foreign', origin: trap.origin } }],
    expect: { exit: 0, causes: ['gap Condition URL_REFUSED'], partOf: ['Condition'] },
    asProcess: true,
  },
  {
    title: 'a search is redirected to another server',
    result: 'Not followed; a gap.',
    trap: true,
    faults: (_, trap) => always({ redirectTo: `${trap.fhirBase}/Condition` }),
    expect: {
      exit: 0,
      causes: ['gap Condition URL_REFUSED'],
      withheld: [{ type: 'Condition', patients: [1] }],
    },
  },
  {
    title: 'one patient has tens of thousands of resources (200,000 with `npm run long`)',
    result: 'Page by page through the disk, in flat memory.',
    types: ['Patient', 'Condition'],
    settings: { 'api_settings.page_size': 1000 },
    data: () => manyConditions(MANY),
    expect: { exit: 0, requests: [MANY / 1000, MANY / 1000 + 100] },
  },
  {
    title: 'the server is away for a minute',
    result: 'The run waits, asks `/metadata` now and then, spends nobody’s attempts, and goes on: complete.',
    sandbox: { patients: 12 },
    faults: [{ match: {}, when: { fromSeconds: 0.5, forSeconds: 60 }, then: { reset: true } }],
    settings: { 'api_settings.requests_per_second': 4 },
    expect: { exit: 0, seconds: [60, 200], requests: [0, 250] },
  },
  {
    title: 'the server is away for three hours, and `max_outage_minutes` is longer',
    result: 'The same: complete, with a question a minute at most.',
    sandbox: { patients: 12 },
    faults: [{ match: {}, when: { fromSeconds: 0.5, forSeconds: 10_800 }, then: { status: 503 } }],
    settings: { 'api_settings.requests_per_second': 4, 'api_settings.max_outage_minutes': 240 },
    expect: { exit: 0, seconds: [10_800, 11_100], requests: [0, 700] },
  },
  {
    title: 'the server is away for three hours, and `max_outage_minutes` is 60',
    result:
      'After the hour what is left of a run by hand fails as SERVER_AWAY; what came is published, partial, exit 3. The daemon pauses its run, and goes on by itself.',
    sandbox: { patients: 12 },
    faults: [{ match: {}, when: { fromSeconds: 2, forSeconds: 10_800 }, then: { reset: true } }],
    settings: { 'api_settings.requests_per_second': 4 },
    expect: {
      exit: 3,
      causes: ['Patient', 'Condition', 'Encounter'].map((type) => `failed ${type} SERVER_AWAY`),
      partOf: ['Patient', 'Condition', 'Encounter'],
      seconds: [3600, 4000],
    },
  },
  {
    title: 'the server is away from the start',
    result: 'Exit 1, nothing published; the mail says why.',
    faults: [{ match: {}, then: { status: 503 } }],
    settings: { 'api_settings.max_attempts': 2 },
    expect: { exit: 1, failure: 'HTTP_SERVER', requests: [1, 10] },
    asProcess: true,
  },
  {
    title: '30 % of all answers fail',
    result: 'The run completes, exact.',
    sandbox: { patients: 8 },
    faults: [
      { match: {}, when: { probability: 0.1 }, then: { status: 503 } },
      { match: {}, when: { probability: 0.1 }, then: { reset: true } },
      { match: {}, when: { probability: 0.1 }, then: { cutBodyAt: 0.4 } },
    ],
    settings: { 'api_settings.max_attempts': 8 },
    expect: { exit: 0 },
    asProcess: true,
  },
];
