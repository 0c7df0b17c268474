import type { FaultAction, FaultRule } from '../../src/sandbox/startSandbox.ts';
import type { FaultRow } from './row.ts';

/** One search of the run: patient 1's conditions. */
export const ONE = { endpoint: 'search', type: 'Condition', patient: 1 } as const;

/** The action strikes that search's first request, and no other. */
export function once(then: FaultAction): readonly FaultRule[] {
  return [{ match: ONE, when: { nth: [1] }, then }];
}

/** It strikes that search for ever. */
export function always(then: FaultAction): readonly FaultRule[] {
  return [{ match: ONE, then }];
}

const passing = (title: string, then: FaultAction, more: Partial<FaultRow> = {}): FaultRow => ({
  title,
  result: 'Asked again with backoff; the set is exact and the run complete.',
  faults: once(then),
  expect: { exit: 0, seconds: [0, 10] },
  ...more,
});

const refusal = (
  title: string,
  then: FaultAction,
  cause: string,
  more: Partial<FaultRow> = {},
): FaultRow => ({
  title,
  result: 'A gap with its cause, named by roster line; asked once, all else comes, the run is complete.',
  faults: always(then),
  expect: {
    exit: 0,
    causes: [`gap Condition ${cause}`],
    withheld: [{ type: 'Condition', patients: [1] }],
  },
  ...more,
});

/** What a server answers, by status. */
export const ANSWER_ROWS: readonly FaultRow[] = [
  {
    title: 'a search is answered 401 in the middle of a run',
    result: 'A new token is fetched, once for all workers, and the search asked again.',
    faults: once({ status: 401 }),
    expect: { exit: 0, tokens: [2, 2], statuses: { 401: [1, 1] } },
    asProcess: true,
  },
  {
    title: 'every answer is 401, whatever the token',
    result:
      'Two tokens and a few questions: the run stops there, with one clear cause; nothing is published, exit 1.',
    sandbox: { patients: 12 },
    faults: [
      { match: { endpoint: 'search' }, then: { status: 401 } },
      { match: { endpoint: 'read' }, then: { status: 401 } },
    ],
    expect: {
      exit: 1,
      failure: 'TOKEN_NOT_ACCEPTED',
      causes: ['Patient', 'Condition', 'Encounter'].map((type) => `failed ${type} TOKEN_NOT_ACCEPTED`),
      tokens: [2, 2],
      // A question before and two after the renewal, for each of five workers, and what begins the run.
      requests: [5, 20],
      says: [/grants tokens and the FHIR server takes none/],
    },
  },
  {
    title: 'from the middle of a run on every answer is 401, whatever the token',
    result: 'The same, and what came before is published: partial, exit 3.',
    sandbox: { patients: 12 },
    faults: (['read', 'search', 'page'] as const).map((endpoint) => ({
      match: { endpoint },
      when: { fromSeconds: 5 },
      then: { status: 401 },
    })),
    settings: { 'api_settings.requests_per_second': 4 },
    expect: {
      exit: 3,
      causes: ['Patient', 'Condition', 'Encounter'].map((type) => `failed ${type} TOKEN_NOT_ACCEPTED`),
      partOf: ['Patient', 'Condition', 'Encounter'],
      requests: [15, 45],
    },
  },
  {
    title: 'one type alone is always answered 401',
    result: 'The token is good for the others, which all come; that type’s searches fail; partial, exit 3.',
    faults: [{ match: { type: 'Condition' }, then: { status: 401 } }],
    settings: { 'api_settings.max_attempts': 3 },
    expect: {
      exit: 3,
      causes: ['failed Condition HTTP_UNAUTHORIZED'],
      withheld: [{ type: 'Condition' }],
    },
  },
  {
    title: 'tokens live for 60 seconds and the server keeps everybody waiting in between',
    result: 'Renewed at 80 % of their life, before any is refused.',
    sandbox: { tokenLifeSeconds: 60 },
    settings: { 'api_settings.requests_per_second': 0.2 },
    expect: { exit: 0, tokens: [2, 20], statuses: { 401: [0, 0] }, seconds: [60, 3600] },
  },
  refusal('a search is refused with 403', { status: 403 }, 'HTTP_FORBIDDEN', { asProcess: true }),
  refusal(
    'a search is refused with 403 and Epic’s 4134 (Break-the-Glass)',
    { status: 403, outcome: '4134' },
    'FHIR_ACCESS_DENIED/4134',
  ),
  refusal('a search is answered 404', { status: 404 }, 'HTTP_NOT_FOUND'),
  refusal('a search is answered 410 on its first page', { status: 410 }, 'HTTP_GONE'),
  refusal(
    'a search is answered 410 and Epic’s 4103 (deleted)',
    { status: 410, outcome: '4103' },
    'FHIR_DELETED/4103',
  ),
  refusal(
    'a filter is refused with 400 and Epic’s 59108',
    { status: 400, outcome: '59108' },
    'FHIR_PARAMETER_REFUSED/59108',
  ),
  refusal(
    'a search is answered with a status that means nothing here (418)',
    { status: 418 },
    'HTTP_UNEXPECTED',
  ),
  {
    title: 'a type is refused for every patient (403)',
    result: 'One line for the type; all others come. The run is partial, exit 3: somebody has to act.',
    faults: [{ match: { endpoint: 'search', type: 'Condition' }, then: { status: 403 } }],
    expect: {
      exit: 3,
      causes: ['gap Condition HTTP_FORBIDDEN'],
      withheld: [{ type: 'Condition' }],
      statuses: { 403: [3, 3] },
      recovers: false,
    },
    asProcess: true,
  },
  ...[500, 502, 503, 504].map((status) =>
    passing(
      `a search is answered ${status}`,
      { status, body: '<html>Bad gateway</html>' },
      { asProcess: status === 503 },
    ),
  ),
  passing('a search is answered 408', { status: 408 }),
  {
    title: 'one search is answered 500 for ever',
    result:
      'After its attempts, and once more at the end of the run, it fails and nothing of it is kept; partial, exit 3. `run --retry-failed` brings it.',
    faults: always({ status: 500 }),
    expect: {
      exit: 3,
      causes: ['failed Condition HTTP_SERVER'],
      withheld: [{ type: 'Condition', patients: [1] }],
      statuses: { 500: [2, 12] },
    },
    asProcess: true,
    settings: { 'api_settings.max_attempts': 2 },
  },
  {
    sandbox: { patients: 12 },
    title: 'a server answers 429 with `Retry-After` in seconds',
    result: 'Nobody asks anything for so long, whatever the worker; then all goes on.',
    faults: once({ status: 429, retryAfter: 20 }),
    expect: { exit: 0, pauseSeconds: 19, seconds: [19, 40], statuses: { 429: [1, 1] } },
  },
  {
    sandbox: { patients: 12 },
    title: '`Retry-After` is an HTTP date',
    result: 'The same, up to that moment: no storm of requests.',
    faults: once({ status: 429, retryAfter: { httpDateInSeconds: 30 } }),
    expect: { exit: 0, pauseSeconds: 28, seconds: [28, 50], requests: [0, 140] },
    // The peers' bulk client polls 1,600 times in 5 s here.
  },
  {
    title: '`Retry-After` is negative',
    result: 'Taken as "now"; ordinary backoff.',
    faults: once({ status: 429, retryAfter: -5 }),
    expect: { exit: 0, seconds: [0, 15] },
  },
  {
    sandbox: { patients: 12 },
    title: '`Retry-After` is a year',
    result: 'Believed for 15 minutes, no longer.',
    faults: once({ status: 429, retryAfter: 31_536_000 }),
    expect: { exit: 0, pauseSeconds: 890, seconds: [890, 920] },
  },
  {
    sandbox: { patients: 12 },
    title: '`Retry-After` holds epoch seconds',
    result: 'Taken as the moment that they name.',
    faults: () => once({ status: 429, retryAfter: String(Math.floor(Date.now() / 1000) + 40) }),
    expect: { exit: 0, pauseSeconds: 30, seconds: [30, 60] },
  },
  {
    sandbox: { patients: 12 },
    title: '429 comes without `Retry-After`, with `RateLimit: ...;r=0;t=20`',
    result: 'Everybody waits the 20 seconds.',
    faults: once({ status: 429, headers: { RateLimit: '"default";r=0;t=20' } }),
    expect: { exit: 0, pauseSeconds: 19, seconds: [19, 40] },
  },
  {
    sandbox: { patients: 12 },
    title: 'a good answer says `RateLimit: ...;r=0;t=20`',
    result: 'Nothing is refused yet, and everybody waits already.',
    faults: once({ addHeaders: { RateLimit: '"default";r=0;t=20' } }),
    expect: { exit: 0, pauseSeconds: 19 },
  },
  {
    sandbox: { patients: 12 },
    title: '503 comes with `Retry-After`',
    result: 'As with 429: everybody waits.',
    faults: once({ status: 503, retryAfter: 60 }),
    expect: { exit: 0, pauseSeconds: 59, seconds: [59, 90] },
  },
  {
    title: 'Epic’s daily document quota (4135) is used up',
    result:
      'No more documents are asked for; they fail and are retried another day. All else comes; partial, exit 3.',
    types: ['Patient', 'DocumentReference', 'Binary'],
    faults: [
      {
        match: { endpoint: 'read', type: 'Binary' },
        when: { after: 2 },
        then: { status: 429, outcome: '4135' },
      },
    ],
    expect: { exit: 3, causes: ['failed Binary FHIR_DOCUMENT_QUOTA/4135'], partOf: ['Binary'] },
  },
  {
    title: 'the token endpoint answers 500, then 429',
    result: 'Asked again with backoff, not before `Retry-After`.',
    faults: [
      { match: { endpoint: 'token' }, when: { nth: [1] }, then: { status: 500 } },
      { match: { endpoint: 'token' }, when: { nth: [2] }, then: { status: 429, retryAfter: 7 } },
    ],
    expect: { exit: 0, tokens: [3, 3], seconds: [7, 20] },
  },
  {
    title: 'the client is refused (`invalid_client`, no cause given)',
    result:
      'One request, exit 1, nothing published; the mail lists Epic’s known causes in order of likelihood.',
    faults: [{ match: { endpoint: 'token' }, then: { status: 400, body: '{"error":"invalid_client"}' } }],
    expect: { exit: 1, failure: 'TOKEN_INVALID_CLIENT', requests: [1, 1], says: [/not active|active|JWKS/] },
    asProcess: true,
  },
  {
    title: 'a scope is not granted',
    result: 'Said in the report by name; what was granted is pulled.',
    faults: [{ match: { endpoint: 'token' }, then: { dropScope: 'system/Goal.read' } }],
    settings: {
      'oauth_settings.scope':
        'system/Patient.read system/Condition.read system/Encounter.read system/Goal.read',
    },
    expect: { exit: 0, says: ['system/Goal.read'] },
  },
];
