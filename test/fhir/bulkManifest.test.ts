import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readManifestPage, type ManifestPage } from '../../src/fhir/bulkManifest.ts';
import { RoundsError } from '../../src/errors.ts';
import { startSandbox, type BulkOptions, type Sandbox } from '../../src/sandbox/startSandbox.ts';
import { getJson, GROUP, kickoff, manifestAt, statusUrlOf, tokenAt } from '../sandbox/support/bulk.ts';
import { rsaKey } from '../sandbox/support/client.ts';
import { thrown } from '../support/rejection.ts';

const FROM = 'https://fhir.example.org/bulk/status/1';
const TIME = '2026-11-22T02:00:00.000Z';
const read = (members: object, from = FROM): ManifestPage =>
  readManifestPage(Buffer.from(JSON.stringify({ transactionTime: TIME, output: [], ...members })), from);
const refusal = (members: object): string => {
  const error = thrown(() => read(members));
  expect(error.code).toBe('BULK_MANIFEST_INVALID');
  return error.message;
};
const file = (name: string, more: object = {}) => ({
  type: 'Patient',
  url: `https://f.example/${name}`,
  ...more,
});
const entry = (more: object = {}) => ({
  kind: 'output',
  resourceType: 'Patient',
  url: 'https://f.example/a',
  count: undefined,
  continuesInFile: undefined,
  ...more,
});

describe('a manifest of 2.0', () => {
  it('is read as it is', () => {
    const page = read({
      request: 'https://fhir.example.org/$export',
      requiresAccessToken: true,
      output: [file('a', { count: 3 }), { type: 'Observation', url: 'https://f.example/b' }],
      deleted: [{ type: 'Bundle', url: 'https://f.example/c', count: 1 }],
      error: [{ type: 'OperationOutcome', url: 'https://f.example/d' }],
      extension: { 'https://x.example': true },
    });
    expect(page).toEqual({
      transactionTime: TIME,
      requiresAccessToken: true,
      files: [
        entry({ count: 3 }),
        entry({ resourceType: 'Observation', url: 'https://f.example/b' }),
        entry({ kind: 'deleted', resourceType: 'Bundle', url: 'https://f.example/c', count: 1 }),
        entry({ kind: 'error', resourceType: 'OperationOutcome', url: 'https://f.example/d' }),
      ],
      next: undefined,
      organizedBy: undefined,
      notes: [],
    });
  });

  it('may lack its arrays, or have null for them', () => {
    const bare = Buffer.from(`{"transactionTime":"${TIME}"}`);
    expect(readManifestPage(bare, FROM).files).toEqual([]);
    expect(read({ output: null, deleted: null, error: null, link: null }).files).toEqual([]);
  });

  it.each<[unknown, boolean]>([
    [true, true],
    [false, false],
    ['true', true],
    ['True', true],
    ['FALSE', false],
    [undefined, true],
    [null, true],
  ])('whose requiresAccessToken is %j requires it: %j', (written, required) => {
    expect(read({ requiresAccessToken: written }).requiresAccessToken).toBe(required);
  });

  it.each([0, 1, 'yes', '', [], {}])('whose requiresAccessToken is %j is refused', (requiresAccessToken) => {
    expect(refusal({ requiresAccessToken })).toContain('requiresAccessToken');
  });

  it.each<[unknown, number | undefined, boolean]>([
    [0, 0, false],
    ['12', 12, false],
    [undefined, undefined, false],
    [null, undefined, false],
    [-1, undefined, true],
    [1.5, undefined, true],
    ['1.5', undefined, true],
    ['-1', undefined, true],
    ['', undefined, true],
    [1e300, undefined, true],
    [[3], undefined, true],
    [true, undefined, true],
  ])('may count %j, which is %j', (count, expected, isNoted) => {
    const page = read({ output: [file('a', { count })] });
    expect(page.files).toEqual([entry({ count: expected })]);
    expect(page.notes.length).toBe(isNoted ? 1 : 0);
  });

  it('may name a file twice in one page: it counts once, and a note says so', () => {
    const page = read({ output: [file('a', { count: 1 }), file('b'), file('a', { count: 2 }), file('a#x')] });
    expect(page.files.map(({ url }) => url)).toEqual(['https://f.example/a', 'https://f.example/b']);
    expect(page.files[0]?.count).toBe(1);
    expect(page.notes).toEqual(['files listed more than once, and taken once: 2']);
  });

  it('may not list one file as two different things', () => {
    const message = 'the manifest of the export lists one file as two different things';
    expect(refusal({ output: [file('a')], deleted: [{ url: file('a').url }] })).toBe(message);
    expect(refusal({ output: [file('a'), file('a', { type: 'Observation' })] })).toBe(message);
  });

  it.each([
    ['/files/1.ndjson', 'https://fhir.example.org/files/1.ndjson'],
    ['files/1.ndjson?sig=a%2Fb', 'https://fhir.example.org/bulk/status/files/1.ndjson?sig=a%2Fb'],
    ['//cdn.example/1', 'https://cdn.example/1'],
    ['http://plain.example/1', 'http://plain.example/1'],
    ['https://user@evil.example/1', 'https://user@evil.example/1'],
  ])('has the URL %s, which leads to %s', (url, absolute) => {
    expect(read({ output: [{ type: 'Patient', url }] }).files[0]?.url).toBe(absolute);
  });

  it.each([undefined, null, 1, '', 'https://', 'http://[::1', {}, ['https://f.example/a']])(
    'with the URL %j is refused',
    (url) => {
      for (const list of ['output', 'deleted', 'error', 'outcome']) {
        expect(refusal({ [list]: [{ type: 'Patient', url }] })).toMatch(/URL/);
      }
    },
  );

  it.each([
    undefined,
    null,
    '2026-11-22',
    '2026-11-22T02:00:00',
    '2026-11-22T02:00Z',
    '2026-13-22T02:00:00Z',
    `${TIME}x`,
    'now',
    1,
  ])('with the transactionTime %j is refused', (transactionTime) => {
    expect(refusal({ transactionTime })).toContain('transactionTime');
  });

  it('keeps a transactionTime as it was written', () => {
    const transactionTime = '2026-11-22T02:00:00.123456+05:30';
    expect(read({ transactionTime }).transactionTime).toBe(transactionTime);
  });
});

describe('the type of a file', () => {
  it('may be of a later version, and is never a path', () => {
    expect(read({ output: [file('a', { type: 'FutureThing' })] }).files[0]?.resourceType).toBe('FutureThing');
    for (const type of [
      '../x',
      'Patient/..',
      'patient',
      '',
      'a'.repeat(99),
      'P\u0000',
      'Ä',
      1,
      {},
      ['Patient'],
    ]) {
      expect(refusal({ output: [file('a', { type })] })).toContain('type');
      expect(refusal({ deleted: [file('a', { type })] })).toContain('type');
    }
  });

  it('is missing only where the output is organised by a type', () => {
    const output = [{ url: 'https://f.example/a' }];
    expect(refusal({ output })).toBe('the manifest of the export has a file without a type');
    expect(refusal({ output, outputOrganizedBy: '' })).toContain('without a type');
    const page = read({
      outputOrganizedBy: 'Patient',
      output: [{ url: 'https://f.example/a', continuesInFile: 'b' }, file('c')],
    });
    expect(page.organizedBy).toBe('Patient');
    expect(page.files).toEqual([
      entry({ resourceType: undefined, continuesInFile: 'https://fhir.example.org/bulk/status/b' }),
      entry({ url: 'https://f.example/c' }),
    ]);
    for (const outputOrganizedBy of ['../Patient', 1, ['Patient'], {}]) {
      expect(refusal({ output, outputOrganizedBy })).toContain('outputOrganizedBy');
    }
  });

  it('is Bundle for deletions and OperationOutcome for errors, whatever is written', () => {
    const page = read({
      deleted: [{ url: 'd' }, { url: 'e', type: 'Patient' }],
      error: [{ url: 'f' }, { url: 'g', type: 'Patient' }],
    });
    expect(page.files.map(({ resourceType }) => resourceType)).toEqual([
      'Bundle',
      'Bundle',
      'OperationOutcome',
      'OperationOutcome',
    ]);
    expect(page.notes).toEqual([
      'files of deletions or errors with another type than theirs, which is passed over: 2',
    ]);
  });
});

describe('a manifest of 3.0 and later', () => {
  it('has errors under the name of outcome, or of both', () => {
    const { files } = read({ error: [{ url: 'a' }], outcome: [{ url: 'a' }, { url: 'b' }] });
    expect(files.map(({ kind, url }) => [kind, new URL(url).pathname])).toEqual([
      ['error', '/bulk/status/a'],
      ['error', '/bulk/status/b'],
    ]);
  });

  it('has the next page behind the link of that relation', () => {
    const link = [{ relation: 'self', url: '/self' }, { url: '/none' }, { relation: 'next', url: '?page=2' }];
    expect(read({ link }).next).toBe(`${FROM}?page=2`);
    expect(read({ link: link.slice(0, 2) }).next).toBeUndefined();
    expect(refusal({ link: [{ relation: 'next' }] })).toContain('URL');
  });
});

describe('what is no manifest', () => {
  it.each([
    '',
    '{',
    '[]',
    '"text"',
    'null',
    '<html>',
    `{"resourceType":"OperationOutcome","transactionTime":"${TIME}"}`,
    '\xff{}',
    '['.repeat(100_000),
  ])('%.40j is refused', (body) => {
    expect(thrown(() => readManifestPage(Buffer.from(body, 'latin1'), FROM)).code).toBe(
      'BULK_MANIFEST_INVALID',
    );
  });

  it.each([
    { output: {} },
    { output: 'x' },
    { deleted: [1] },
    { error: [null] },
    { outcome: [[]] },
    { link: {} },
    { output: [file('a', { continuesInFile: 1 })] },
  ])('%j is refused', (members) => {
    expect(refusal(members)).toMatch(/^the manifest of the export has /);
  });

  it('hostile members become a page or a refusal without a word of theirs, and nothing else', () => {
    const odd = fc.oneof(
      fc.jsonValue(),
      fc.constantFrom('Patient', 'https://secret.example/Smith', 'secret-1', '__proto__', '1'),
      fc.constantFrom('secret'.repeat(20_000), '/'.repeat(70_000)),
    );
    const keys = [
      'type',
      'url',
      'count',
      'continuesInFile',
      'relation',
      '__proto__',
      'constructor',
      'toString',
    ];
    const item = fc.oneof(odd, fc.dictionary(fc.constantFrom(...keys), odd));
    const members = [
      ...['transactionTime', 'requiresAccessToken', 'output', 'deleted', 'error', 'outcome', 'link'],
      ...['outputOrganizedBy', '__proto__', 'constructor', 'hasOwnProperty'],
    ];
    const text = fc
      .array(fc.tuple(fc.constantFrom(...members), fc.oneof(item, fc.array(item))))
      .map((pairs) =>
        pairs.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`).join(','),
      );
    fc.assert(
      fc.property(text, fc.boolean(), (given, isTimed) => {
        const body = Buffer.from(
          `{${given}${given === '' ? '' : ','}"x":1${isTimed ? `,"transactionTime":"${TIME}"` : ''}}`,
        );
        let page: ManifestPage | undefined;
        try {
          page = readManifestPage(body, FROM);
        } catch (error) {
          if (!(error instanceof RoundsError) || error.code !== 'BULK_MANIFEST_INVALID') throw error;
          expect(error.message).toMatch(/^the manifest of the export [a-zA-Z ,]+$/);
          expect(error.message).not.toMatch(/secret|Smith/);
        }
        for (const { url, resourceType, count } of page?.files ?? []) {
          expect(new URL(url).href).toBe(url);
          expect(resourceType ?? 'Absent').toMatch(/^[A-Z][A-Za-z]{0,63}$/);
          expect(count === undefined || (Number.isSafeInteger(count) && count >= 0)).toBe(true);
        }
        expect(page?.notes.join(' ') ?? '').not.toMatch(/secret|Smith/);
        expect(({} as Record<string, unknown>)['type']).toBeUndefined();
      }),
      { numRuns: 500 },
    );
  });
});

describe('the sandbox’s manifests', () => {
  const key = rsaKey();
  let sandbox: Sandbox;
  let token: string;
  const start = async (dialect: 'epic' | 'us-core', bulk: BulkOptions) => {
    sandbox = await startSandbox({ smtp: false, patients: 3, dialect, bulk: { polls: 0, ...bulk } });
    token = await tokenAt(sandbox, key, Date.now());
  };
  beforeAll(() => start('epic', {}));
  afterAll(() => sandbox.close());
  const manifest = async (path: string): Promise<readonly [ManifestPage, string]> => {
    const url = statusUrlOf(await kickoff(sandbox, token, path));
    const { text } = await manifestAt(token, url);
    return [readManifestPage(Buffer.from(text), url), url];
  };

  it('are read in Epic’s form, with a flag that is a string', async () => {
    const [page] = await manifest(`Group/${GROUP}/$export?_type=Patient,Observation`);
    expect(page.requiresAccessToken).toBe(true);
    expect(page.files.map(({ resourceType }) => resourceType)).toEqual(['Patient', 'Observation']);
    expect(page.files[0]?.count).toBe(3);
    expect(page.notes).toEqual([]);
  });

  it('are read page by page, with relative URLs and organised by patient', async () => {
    await sandbox.close();
    const more = { resourcesPerFile: 10, filesPerManifest: 2, outcomesIn: 'outcome' } as const;
    await start('us-core', { urls: 'relative', ...more });
    const path =
      'Patient/$export?_type=Patient,Observation&organizeOutputBy=Patient&allowPartialManifests=true';
    let [page] = await manifest(path);
    const urls: string[] = [];
    let continued = 0;
    for (;;) {
      expect(page.organizedBy).toBe('Patient');
      for (const one of page.files) {
        urls.push(one.url);
        if (one.continuesInFile !== undefined) continued++;
        expect(new URL(one.url).origin).toBe(sandbox.origin);
      }
      if (page.next === undefined) break;
      const { text } = await getJson(token, page.next);
      page = readManifestPage(Buffer.from(text), page.next);
    }
    expect(urls.length).toBeGreaterThan(2);
    expect(new Set(urls).size).toBe(urls.length);
    expect(continued).toBeGreaterThan(0);
  });
});
