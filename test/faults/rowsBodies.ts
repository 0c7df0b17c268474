import { gzipSync } from 'node:zlib';
import type { FaultAction } from '../../src/sandbox/startSandbox.ts';
import { always, ONE, once } from './rowsAnswers.ts';
import type { FaultRow } from './row.ts';

const RECOVERED = 'Asked again with backoff; nothing of the broken answer is kept, the set is exact.';

const broken = (title: string, then: FaultAction, more: Partial<FaultRow> = {}): FaultRow => ({
  title,
  result: RECOVERED,
  faults: once(then),
  expect: { exit: 0, seconds: [0, 10] },
  ...more,
});

/** `timeout_seconds` is by the machine's own clock. */
const IMPATIENT = { 'api_settings.timeout_seconds': 1 };

/** An appointment of both patients of the row that asks for it. */
const sharedAppointment = (comment: string): object => ({
  resourceType: 'Appointment',
  id: 'shared-appointment',
  comment,
  participant: [0, 1].map((who) => ({ actor: { reference: `Patient/twoCopies${who}` } })),
});

/** What becomes of an answer on its way, and what may stand in it. */
export const BODY_ROWS: readonly FaultRow[] = [
  broken('a connection is reset', { reset: true }, { asProcess: true }),
  broken(
    'a server takes a request and never answers',
    { hang: true },
    { settings: IMPATIENT, result: 'Given up after `timeout_seconds` and asked again.' },
  ),
  broken(
    'an answer drips in, byte by byte',
    { dripBytesPerSecond: 40 },
    { settings: IMPATIENT, result: 'The whole exchange has `timeout_seconds`; then it is asked again.' },
  ),
  broken('a body is cut in the middle', { cutBodyAt: 0.5 }, { asProcess: true }),
  broken(
    'a body is cut, and its length agrees (JSON that ends early)',
    { badJson: true },
    { asProcess: true },
  ),
  broken('a web page comes with 200', { html: true }),
  broken('a body is empty', { emptyBody: true }),
  broken('a gzip body is cut short', { gzipCut: true }),
  {
    title: 'the right body comes under a wrong content type',
    result: 'Taken: what counts is that it is the FHIR that was asked for.',
    faults: always({ contentType: 'text/plain' }),
    expect: { exit: 0 },
  },
  {
    title: 'one search’s JSON is broken for ever',
    result:
      'It fails, with nothing of it kept; the run goes on and is partial, exit 3. `run --retry-failed` brings it.',
    faults: always({ badJson: true }),
    expect: {
      exit: 3,
      causes: ['failed Condition FHIR_NOT_JSON'],
      withheld: [{ type: 'Condition', patients: [1] }],
    },
  },
  {
    title: 'a gzip bomb comes (100 MB in 100 kB)',
    result: 'Stopped at 64 MB; a gap, since the server means it. All else comes.',
    faults: always({ gzipBombMegabytes: 100 }),
    expect: {
      exit: 0,
      causes: ['gap Condition BODY_TOO_LARGE'],
      withheld: [{ type: 'Condition', patients: [1] }],
    },
  },
  {
    title: 'an OperationOutcome alone comes with 200, of a passing error (40000)',
    result: 'Asked again, as for a 500.',
    faults: once({ onlyOutcome: true }),
    expect: { exit: 0 },
  },
  {
    title: 'an OperationOutcome alone comes with 200 and refuses (59108)',
    result: 'A gap with Epic’s code.',
    faults: always({ status: 200, outcome: '59108' }),
    expect: {
      exit: 0,
      causes: ['gap Condition FHIR_PARAMETER_REFUSED/59108'],
      withheld: [{ type: 'Condition', patients: [1] }],
    },
  },
  {
    title: 'an entry is an OperationOutcome that says data was withheld (59204)',
    result: 'What came is kept; the rest is a gap, in the report, the manifest and `error/`.',
    faults: [{ match: { ...ONE, page: 1 }, then: { outcomeEntry: '59204' } }],
    expect: { exit: 0, causes: ['gap Condition FHIR_DATA_WITHHELD/59204'] },
  },
  {
    title: 'an entry is an OperationOutcome with a warning (4119, 59109)',
    result: 'Counted and told as a remark; nothing is missing, and the pages after it are pulled.',
    faults: [
      { match: ONE, then: { outcomeEntry: '4119' } },
      { match: { endpoint: 'search', type: 'Encounter' }, then: { outcomeEntry: '59109' } },
    ],
    expect: { exit: 0, says: [/4119/, /59109/] },
  },
  {
    title: 'an entry is an OperationOutcome with a passing error (59177)',
    result: 'The page is asked again.',
    faults: once({ outcomeEntry: '59177' }),
    expect: { exit: 0 },
  },
  {
    title: 'a page has an entry twice',
    result: 'Written once, and counted.',
    faults: once({ duplicateEntry: true }),
    expect: { exit: 0, duplicates: { same: 1, differing: 0 } },
  },
  {
    title: 'a page has a resource twice, and the copies differ',
    result: 'The first stays; the difference is counted and reported.',
    faults: once({ duplicateEntry: 'differing' }),
    expect: { exit: 0, duplicates: { same: 0, differing: 1 }, says: [/differ/] },
    asProcess: true,
  },
  {
    title: 'a later page repeats an entry of an earlier one',
    result: 'Written once, and counted.',
    faults: [
      {
        match: { endpoint: 'page', type: 'Condition' },
        when: { first: 1 },
        then: { duplicateEntry: 'earlier' },
      },
    ],
    expect: { exit: 0, duplicates: { same: 1, differing: 0 } },
  },
  {
    title: 'a later page repeats an entry of an earlier one in another form',
    result: 'The first stays; the difference is counted.',
    faults: [
      {
        match: { endpoint: 'page', type: 'Condition' },
        when: { first: 1 },
        then: { duplicateEntry: 'earlier-differing' },
      },
    ],
    expect: { exit: 0, duplicates: { same: 0, differing: 1 } },
  },
  {
    title: 'two patients’ searches bring the same resource (an appointment of both)',
    result: 'Written once in the whole run.',
    types: ['Patient', 'Appointment'],
    expect: { exit: 0, duplicates: { same: 1, differing: 0 } },
  },
  {
    title: 'two patients’ searches bring copies of one resource that differ',
    result: 'The first stays; the difference is counted and reported.',
    types: ['Patient', 'Appointment'],
    sandbox: { patients: 2 },
    // One after the other, so that it is known which copy is the first.
    settings: { 'api_settings.concurrency': 1 },
    data: () => ({
      Patient: [0, 1].map((n) => ({ resourceType: 'Patient', id: `twoCopies${n}` })),
      Appointment: [sharedAppointment('as the first search brings it')],
    }),
    faults: [
      {
        match: { endpoint: 'search', type: 'Appointment', patient: 1 },
        then: {
          status: 200,
          body: JSON.stringify({
            resourceType: 'Bundle',
            type: 'searchset',
            entry: [
              {
                resource: sharedAppointment('changed before the second search'),
                search: { mode: 'match' },
              },
            ],
          }),
        },
      },
    ],
    expect: { exit: 0, duplicates: { same: 0, differing: 1 }, says: [/differ/] },
    asProcess: true,
  },
  {
    title: 'a page has another patient’s resource, once',
    result: 'Nothing of the search is kept; it begins again.',
    faults: once({ foreignEntry: 'patient' }),
    expect: { exit: 0 },
  },
  {
    title: 'a page has another patient’s resource every time',
    result:
      'The search fails: better nothing than a mixed chart. Partial, exit 3; the other patient’s own copy comes.',
    faults: always({ foreignEntry: 'patient' }),
    expect: {
      exit: 3,
      causes: ['failed Condition FHIR_FOREIGN_PATIENT'],
      withheld: [{ type: 'Condition', patients: [1] }],
    },
    asProcess: true,
  },
  {
    title: 'a page has a resource of another type every time',
    result: 'The search fails; partial, exit 3.',
    faults: always({ foreignEntry: 'type' }),
    expect: {
      exit: 3,
      causes: ['failed Condition FHIR_FOREIGN_TYPE'],
      withheld: [{ type: 'Condition', patients: [1] }],
    },
  },
  {
    title: 'a patient was merged into another (4107)',
    result:
      'What comes names the survivor; it is one patient, pulled once and listed as merged. A deleted patient and Break-the-Glass are gaps.',
    sandbox: { special: true },
    expect: {
      exit: 0,
      causes: ['Patient', 'Condition', 'Encounter'].flatMap((type) => [
        `gap ${type} FHIR_ACCESS_DENIED/4134`,
        `gap ${type} FHIR_DELETED/4103`,
        ...(type === 'Patient' ? [] : [`gap ${type} FHIR_DATA_WITHHELD/59204`]),
      ]),
      says: [/merged/],
    },
  },
  {
    title:
      'decimals, long numbers, escapes and non-ASCII text come in pieces (1.50, 20 digits, emoji at every chunk border)',
    result: 'Every byte stays as it was.',
    types: ['Patient', 'Observation'],
    data: () => ({
      Patient: [{ resourceType: 'Patient', id: 'exact-bytes' }],
      Observation: Array.from(
        { length: 7 },
        (_, n) =>
          `{"resourceType":"Observation","id":"exact-${n}","subject":{"reference":"Patient/exact-bytes"},"category":[{"coding":[{"code":"laboratory"}]}],"valueQuantity":{"value":1.50,"low":12345678901234567890,"high":1E+2},"note":[{"text":"${'Zoë 😀 \\u00e9 李'.repeat(400 + n)}"}]}`,
      ),
    }),
    faults: [
      {
        match: { endpoint: 'search', type: 'Observation' },
        when: { every: 2 },
        then: { dripBytesPerSecond: 400_001 },
      },
    ],
    expect: { exit: 0 },
  },
  {
    title: 'a Binary has 50 MB',
    result: 'Pulled whole, byte for byte, through the disk.',
    types: ['Patient', 'DocumentReference', 'Binary'],
    data: () => ({
      Patient: [{ resourceType: 'Patient', id: 'big-document' }],
      DocumentReference: [
        {
          resourceType: 'DocumentReference',
          id: 'big-reference',
          subject: { reference: 'Patient/big-document' },
          content: [{ attachment: { url: 'Binary/big-binary' } }],
        },
      ],
      Binary: [
        {
          resourceType: 'Binary',
          id: 'big-binary',
          contentType: 'application/pdf',
          data: gzipSync('')
            .toString('base64')
            .padEnd(50 * 1024 * 1024, 'A'),
        },
      ],
    }),
    expect: { exit: 0, requests: [0, 10] },
  },
];
