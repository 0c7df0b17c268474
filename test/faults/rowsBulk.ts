import { EPIC_SANDBOX_GROUP, type FaultAction, type FaultRule } from '../../src/sandbox/startSandbox.ts';
import type { BulkOptions } from '../../src/sandbox/bulk/options.ts';
import type { FaultRow } from './row.ts';

const TYPES = ['Patient', 'Condition', 'Encounter'];
/** The file of conditions that is spoilt: the first. */
const FILE = { endpoint: 'file', type: 'Condition' } as const;

/** A row of a bulk job: us-core, so that all levels and parameters are there, unless it says otherwise. */
function bulk(
  title: string,
  result: string,
  row: Omit<FaultRow, 'title' | 'result'> & { readonly options?: BulkOptions },
): FaultRow {
  const { options, ...rest } = row;
  return {
    title: `in a bulk export, ${title}`,
    result,
    types: TYPES,
    bulk: true,
    ...rest,
    sandbox: { dialect: 'us-core', ...row.sandbox, bulk: { polls: 1, resourcesPerFile: 8, ...options } },
    settings: {
      '[job default] method': 'bulk',
      'bulk.group_id': EPIC_SANDBOX_GROUP,
      ...row.settings,
    },
  };
}

const first = (
  endpoint: FaultRule['match']['endpoint'],
  then: FaultAction,
  times = 1,
): readonly FaultRule[] => [
  { match: endpoint === undefined ? {} : { endpoint }, when: { first: times }, then },
];
const spoilt = (then: FaultAction, times = 1): readonly FaultRule[] => [
  { match: FILE, when: { first: times }, then },
];

const KICKOFF_ROWS: readonly FaultRow[] = [
  bulk('the kick-off is answered 429', 'Asked again when the server says so; one export, and all of it.', {
    faults: first('kickoff', { status: 429, retryAfter: 120 }),
    expect: { exit: 0, seconds: [120, 130] },
  }),
  bulk('the kick-off is answered 503 twice', 'Asked again with backoff; one export, and all of it.', {
    faults: first('kickoff', { status: 503 }, 2),
    // Each was answered: none of them can have begun an export.
    expect: { exit: 0, saysNot: [/never\s+answered/] },
  }),
  bulk(
    'the kick-off’s connection is reset',
    'Asked again. The report says that a kick-off was never answered: the server may keep an export that nobody knows of.',
    { faults: first('kickoff', { reset: true }), expect: { exit: 0, says: [/never\s+answered/] } },
  ),
  bulk(
    'the server refuses a parameter',
    'The run fails before it has waited for anything, and names the parameter.',
    {
      options: { unsupported: ['_elements'] },
      settings: { 'bulk.elements': 'id' },
      expect: {
        exit: 1,
        failure: 'BULK_KICKOFF_REFUSED',
        causes: ['failed Resource BULK_KICKOFF_REFUSED/59109'],
        says: [/_elements/],
      },
    },
  ),
  bulk('the status URL lies on another server', 'Refused: no token goes there. The run fails and says so.', {
    options: { otherOrigin: true },
    faults: first('kickoff', { toOtherOrigin: true }),
    expect: { exit: 1, failure: 'URL_REFUSED', causes: ['failed Resource URL_REFUSED'] },
  }),
];

const OUTCOME = (text: string) =>
  JSON.stringify({
    resourceType: 'OperationOutcome',
    issue: [{ severity: 'error', code: 'processing', diagnostics: text }],
  });

const REFUSED_ROWS: readonly FaultRow[] = [
  bulk(
    'the server says that the group was requested too recently',
    'A wait, no failure: asked again 24 hours after the last export that is known, else each hour.',
    {
      faults: first('kickoff', {
        status: 403,
        body: OUTCOME('Request not allowed: The Client requested this Group too recently.'),
      }),
      expect: { exit: 0, seconds: [3600, 3800] },
    },
  ),
  bulk(
    'the server refuses a parameter that it may pass over (`lenient`)',
    'The export is asked for without it, and the report says so.',
    {
      settings: { 'bulk.elements': 'id', 'bulk.lenient': 'true' },
      faults: first('kickoff', { status: 400, body: OUTCOME('The parameter _elements is not supported.') }),
      expect: { exit: 0, says: [/refused _elements/], saysNot: [/never\s+answered/] },
    },
  ),
  bulk(
    'the server refuses the export in words that name a patient',
    'What it says is shown but for names, ids, numbers and dates.',
    {
      faults: first('kickoff', {
        status: 403,
        body: OUTCOME('Export of Patient Camila Lopez, MRN 203713, is not allowed.'),
      }),
      expect: {
        exit: 1,
        failure: 'BULK_KICKOFF_REFUSED',
        causes: ['failed Resource BULK_KICKOFF_REFUSED'],
        says: [/is not allowed/],
      },
    },
  ),
  bulk(
    'the progress that the server tells of names a patient',
    'It is shown but for names, ids, numbers and dates.',
    {
      options: { polls: 3, progress: ['Now at Camila Lopez, MRN 203713', '50% of 3 patients done'] },
      expect: { exit: 0 },
    },
  ),
];

const STATUS_ROWS: readonly FaultRow[] = [
  bulk(
    'the status is answered 429, then 503, then by a transient OperationOutcome',
    'Waited out; the same export goes on.',
    {
      faults: [
        { match: { endpoint: 'status' }, when: { nth: [1] }, then: { status: 429, retryAfter: 30 } },
        { match: { endpoint: 'status' }, when: { nth: [2] }, then: { status: 503 } },
        {
          match: { endpoint: 'status' },
          when: { nth: [3] },
          then: { status: 500, outcome: '59177', issueCode: 'transient' },
        },
      ],
      expect: { exit: 0 },
    },
  ),
  bulk(
    '`Retry-After` is an HTTP date an hour ahead',
    'It is waited for, but no longer than `longest_poll_minutes` at a time: a look each half hour.',
    {
      options: { polls: 2, retryAfter: { httpDateInSeconds: 3600 } },
      expect: { exit: 0, seconds: [3600, 3700], requests: [5, 30] },
    },
  ),
  bulk('`Retry-After` is in seconds since 1970', 'Taken as the instant that it names.', {
    options: { polls: 1, retryAfter: { epochInSeconds: 600 } },
    expect: { exit: 0, seconds: [590, 620] },
  }),
  bulk('`Retry-After` is 0', 'Not asked more often than each second.', {
    options: { polls: 20, retryAfter: 0 },
    expect: { exit: 0, seconds: [19, 40] },
  }),
  bulk('the server gives no `Retry-After`', 'Each wait is twice the last, up to `longest_poll_minutes`.', {
    options: { polls: 8, retryAfter: false },
    expect: { exit: 0, seconds: [30 * 127, 30 * 255] },
  }),
  bulk('the export takes six hours', 'The token is minted anew as often as it must; nothing else happens.', {
    options: { polls: 1, seconds: 6 * 3600, retryAfter: false },
    expect: { exit: 0, tokens: [5, 40], seconds: [6 * 3600, 7 * 3600] },
  }),
  bulk(
    'the server gives the export up',
    'The run fails with the server’s words, as far as they are safe to show.',
    {
      faults: first('manifest', { exportFails: '40000' }),
      expect: {
        exit: 1,
        failure: 'BULK_EXPORT_FAILED',
        causes: ['failed Resource BULK_EXPORT_FAILED/40000'],
      },
    },
  ),
  bulk(
    'the server knows the status URL no more (404)',
    'The run fails; the next one asks for a new export.',
    {
      faults: first('manifest', { status: 404 }),
      expect: { exit: 1, failure: 'BULK_EXPORT_GONE', causes: ['failed Resource BULK_EXPORT_GONE'] },
    },
  ),
  bulk('the export’s state stands in `X-Export-Status`', 'It is read from there.', {
    settings: { 'bulk.separate_export_status': 'true' },
    expect: { exit: 0 },
  }),
];

const MANIFEST_ROWS: readonly FaultRow[] = [
  bulk('the manifest has pages', 'All are read; page 2’s files take none of page 1’s names.', {
    options: { filesPerManifest: 2, resourcesPerFile: 3 },
    expect: { exit: 0 },
  }),
  bulk('the server hands out partial manifests', 'All pages are read once the export is done.', {
    settings: { 'bulk.allow_partial_manifests': 'true' },
    options: { resourcesPerFile: 2, polls: 3 },
    expect: { exit: 0 },
  }),
  bulk(
    'the manifest’s URLs are relative, and it says `requiresAccessToken` as a string',
    'Both are understood.',
    {
      options: { urls: 'relative', requiresAccessToken: 'true' },
      expect: { exit: 0 },
    },
  ),
  bulk('files require no token', 'None is sent.', {
    options: { requiresAccessToken: false },
    expect: { exit: 0 },
  }),
  bulk('the manifest lacks `deleted`, `error` and every `count`', 'Taken as empty and unknown.', {
    options: { manifestWithout: ['deleted', 'error'], counts: false },
    expect: { exit: 0 },
  }),
  bulk('the manifest lists every file twice', 'Each is downloaded once.', {
    faults: first('manifest', { listedTwice: true }),
    expect: { exit: 0, duplicates: { same: 0, differing: 0 } },
  }),
  bulk('remarks stand in `outcome`', 'They are read as those in `error` are: what is withheld is a gap.', {
    sandbox: { special: true, patients: 20 },
    options: { outcomesIn: 'outcome' },
    expect: {
      exit: 0,
      causes: [
        'gap OperationOutcome FHIR_ACCESS_DENIED/4134',
        'gap OperationOutcome FHIR_DATA_WITHHELD/59204',
      ],
    },
  }),
  bulk('the manifest’s body is cut', 'It is asked for again.', {
    faults: first('manifest', { cutBodyAt: 0.5 }),
    expect: { exit: 0 },
  }),
  bulk('a web page comes in the manifest’s place', 'It is asked for again.', {
    faults: first('manifest', { html: true }),
    expect: { exit: 0 },
  }),
];

const recovers = (title: string, then: FaultAction, more: Partial<FaultRow> = {}): FaultRow =>
  bulk(`a file ${title}`, 'That file alone recovers; the set is exact and the run complete.', {
    faults: spoilt(then),
    expect: { exit: 0 },
    ...more,
  });

const failsAlone = (title: string, then: FaultAction, code: string, more: Partial<FaultRow> = {}): FaultRow =>
  bulk(
    `a file ${title}`,
    'That file alone fails, by its name; the rest is published as partial, exit 3, and `--retry-failed` brings the file from the same export.',
    {
      faults: [{ match: { ...FILE, page: 2 }, then }],
      expect: {
        exit: 3,
        causes: [`failed Condition ${code}`],
        partOf: ['Condition'],
        says: [/Condition\.ndjson/],
      },
      ...more,
    },
  );

/** Text beyond ASCII that every chunk's border may cut, decimals that a double would change. */
const HOSTILE_TEXT = '… naïve 你好 𝟙𝟚 ẞ\u2028 '.repeat(200);
const POLYGLOT = 'polyglot-4711';
const conditions = (): readonly string[] =>
  Array.from(
    { length: 40 },
    (_, no) =>
      `{"resourceType":"Condition","id":"c${no}","subject":{"reference":"Patient/${POLYGLOT}"},"note":[{"text":${JSON.stringify(HOSTILE_TEXT)}}],"extension":[{"url":"x","valueDecimal":1.50}]}`,
  );

const FILE_ROWS: readonly FaultRow[] = [
  bulk(
    'files hold text beyond ASCII, and decimals that end in 0',
    'Every byte is as the server sent it, wherever a chunk of the transfer ends.',
    {
      types: ['Condition'],
      data: () => ({ Patient: [{ resourceType: 'Patient', id: POLYGLOT }], Condition: conditions() }),
      roster: () => `fhir_id\n${POLYGLOT}\n`,
      options: { resourcesPerFile: 40, groups: { [EPIC_SANDBOX_GROUP]: [POLYGLOT] } },
      expect: { exit: 0 },
    },
  ),
  recovers('is cut in the middle', { cutBodyAt: 0.5 }),
  recovers('is reset before its first byte', { reset: true }),
  recovers('is cut in its gzip stream', { gzipCut: true }),
  recovers('never comes, once', { hang: true }, { settings: { 'api_settings.timeout_seconds': 5 } }),
  recovers('is answered 401', { status: 401 }),
  recovers('is answered 429', { status: 429, retryAfter: 20 }),
  recovers('is answered 500', { status: 500 }),
  recovers('ends early, and its length agrees', { badJson: true }),
  recovers('has more lines than the manifest counts', { insertLine: 'duplicate' }),
  recovers('lacks its last line', { dropLines: 1 }),
  recovers('holds half a line', { insertLine: 'cut-json' }),
  recovers('holds a line of another type', { insertLine: 'other-type' }),
  recovers('holds a list', { insertLine: 'list' }),
  recovers('holds a web page’s line', { insertLine: 'not-json' }),
  recovers('has blank lines', { insertLine: 'blank' }),
  recovers('has lines that end in CR LF', { lineForm: 'crlf' }),
  recovers('has no line feed at its end', { lineForm: 'no-final-newline' }),
  recovers('begins with a byte order mark', { lineForm: 'bom' }),
  ...(['ignored', 'refused', 'wrong'] as const).map((range) =>
    bulk(
      `a file is cut, and \`Range\` is ${range === 'wrong' ? 'answered with another part' : range}`,
      'It is downloaded anew; the set is exact.',
      {
        faults: [
          { match: FILE, when: { nth: [1] }, then: { cutBodyAt: 0.5 } },
          { match: FILE, when: { nth: [2] }, then: { range } },
        ],
        expect: { exit: 0 },
      },
    ),
  ),
  bulk(
    'a file is cut, and made anew before the rest is asked for',
    'Its ETag tells: it is downloaded anew.',
    {
      faults: [
        { match: FILE, when: { nth: [1] }, then: { cutBodyAt: 0.5 } },
        { match: FILE, when: { nth: [2] }, then: { etagChanged: true } },
      ],
      expect: { exit: 0 },
    },
  ),
  bulk('its URLs expire before all files are there', 'The manifest is read again for fresh ones.', {
    options: { urlLifeSeconds: 60 },
    faults: [{ match: FILE, when: { first: 1 }, then: { status: 429, retryAfter: 90 } }],
    expect: { exit: 0 },
  }),
  bulk('a resource stands in two files', 'It is written once; the copies are counted.', {
    options: { counts: false, resourcesPerFile: 4 },
    faults: [{ match: { ...FILE }, when: { nth: [2] }, then: { insertLine: 'duplicate' } }],
    expect: { exit: 0, duplicates: { same: 1, differing: 0 } },
  }),
  bulk(
    'two files hold one resource with differing bytes',
    'The first stays, and the difference is counted.',
    {
      options: { counts: false, resourcesPerFile: 4 },
      faults: [{ match: { ...FILE }, when: { nth: [2] }, then: { insertLine: 'duplicate-differing' } }],
      expect: { exit: 0, duplicates: { same: 0, differing: 1 } },
    },
  ),
  bulk(
    'there are hundreds of tiny files, and a 429 now and then',
    'Every one comes, once; all wait when one is told to.',
    {
      sandbox: { patients: 60 },
      options: { resourcesPerFile: 1 },
      faults: [{ match: { endpoint: 'file' }, when: { every: 50 }, then: { status: 429, retryAfter: 2 } }],
      expect: { exit: 0, statuses: { 429: [5, 100] } },
    },
  ),
  failsAlone('is answered 500 for ever', { status: 500 }, 'HTTP_SERVER'),
  failsAlone('is answered 401 for ever', { status: 401 }, 'HTTP_UNAUTHORIZED'),
  failsAlone('is gone (410), also by fresh URLs', { status: 410 }, 'HTTP_GONE'),
  failsAlone('always lacks its last line', { dropLines: 1 }, 'BULK_COUNT_DIFFERS'),
  failsAlone('always holds half a line', { insertLine: 'cut-json' }, 'BULK_FILE_MALFORMED'),
  bulk(
    'files lie on another origin, and require the token',
    'Not one is asked for there: the token goes home only.',
    {
      options: { filesOnOtherOrigin: true },
      expect: { exit: 1, failure: 'URL_REFUSED', causes: TYPES.map((type) => `failed ${type} URL_REFUSED`) },
    },
  ),
  bulk(
    'a file is redirected to another origin',
    'It is followed without the token; a server that wants one there fails that file alone.',
    {
      options: { otherOrigin: true },
      faults: [{ match: { ...FILE, page: 2 }, then: { toOtherOrigin: true } }],
      expect: { exit: 3, causes: ['failed Condition HTTP_UNAUTHORIZED/4118'], partOf: ['Condition'] },
    },
  ),
  bulk('the export cannot be deleted at the end', 'The run is complete; the next one tries it again.', {
    faults: first('cancel', { status: 500 }),
    expect: { exit: 0 },
  }),
];

/** Bulk exports, in the order of an export. */
export const BULK_ROWS: readonly FaultRow[] = [
  ...KICKOFF_ROWS,
  ...REFUSED_ROWS,
  ...STATUS_ROWS,
  ...MANIFEST_ROWS,
  ...FILE_ROWS,
];
