import { stat } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import type { FaultAction, FaultRule } from '../../src/sandbox/startSandbox.ts';
import {
  base64,
  bytesOf,
  documentSite,
  expectContents,
  indexLine,
  indexOf,
  TYPES,
  type Attachment,
  type World,
} from '../support/documents.ts';
import { startServer } from '../support/httpServer.ts';
import { errorsOf, newestRun } from '../support/publishedRun.ts';
import { runHere } from '../support/runHere.ts';

const PDF = 'application/pdf';
const GOOD = bytesOf(900, 2);
const BAD = bytesOf(5_000, 9);
const LINK: Attachment = { contentType: PDF, url: 'Binary/bad' };

/** One attachment that goes wrong, and one after it that does not. */
const world = (bad: Attachment = LINK): World => ({
  binaries: { bad: [PDF, BAD], good: [PDF, GOOD] },
  documents: {
    'DocumentReference/bad': [bad],
    'DocumentReference/good': [{ contentType: PDF, url: 'Binary/good' }],
  },
});
const GOOD_LINE = indexLine('DocumentReference/good', 0, GOOD, { contentType: PDF, url: 'Binary/good' });

const faultOf = (then: FaultAction, when: FaultRule['when'] = {}): FaultRule => ({
  match: { endpoint: 'read', type: 'Binary', id: 'bad' },
  when,
  then,
});

interface Row {
  readonly what: string;
  readonly then: FaultAction;
  readonly ends: readonly [outcome: 'gap' | 'failed', code: string];
}

const FINAL: readonly Row[] = [
  { what: '404', then: { status: 404, outcome: '4102' }, ends: ['gap', 'FHIR_PARAMETER_REFUSED'] },
  { what: 'a bare 404', then: { status: 404 }, ends: ['gap', 'HTTP_NOT_FOUND'] },
  { what: '403', then: { status: 403 }, ends: ['gap', 'HTTP_FORBIDDEN'] },
  { what: 'Break-the-Glass', then: { status: 403, outcome: '4134' }, ends: ['gap', 'FHIR_ACCESS_DENIED'] },
  { what: '410', then: { status: 410 }, ends: ['gap', 'HTTP_GONE'] },
  { what: '204', then: { status: 204 }, ends: ['gap', 'HTTP_UNEXPECTED'] },
  {
    what: 'a content of no bytes',
    then: { status: 200, headers: { 'content-type': PDF } },
    ends: ['gap', 'ATTACHMENT_UNREADABLE'],
  },
];

const PASSING: readonly Row[] = [
  { what: '429', then: { status: 429, retryAfter: 0 }, ends: ['failed', 'HTTP_TOO_MANY'] },
  { what: '503', then: { status: 503 }, ends: ['failed', 'HTTP_SERVER'] },
  { what: 'a reset', then: { reset: true }, ends: ['failed', 'NETWORK'] },
  { what: 'a cut body', then: { cutBodyAt: 0.5 }, ends: ['failed', 'BODY_CUT'] },
  { what: 'a cut gzip body', then: { gzipCut: true }, ends: ['failed', 'BODY_CUT'] },
  { what: 'a web page', then: { html: true }, ends: ['failed', 'ATTACHMENT_REPLACED'] },
  {
    what: 'a resource of another type',
    then: {
      status: 200,
      body: '{"resourceType":"Basic"}',
      headers: { 'content-type': 'application/fhir+json' },
    },
    ends: ['failed', 'ATTACHMENT_REPLACED'],
  },
  { what: 'an OperationOutcome with 200', then: { onlyOutcome: true }, ends: ['failed', 'HTTP_SERVER'] },
  { what: 'FHIR without a body', then: { emptyBody: true }, ends: ['failed', 'FHIR_NOT_JSON'] },
  {
    what: 'the content under FHIR’s type',
    then: { contentType: 'application/fhir+json' },
    ends: ['failed', 'FHIR_NOT_JSON'],
  },
];

describe('an attachment that the server answers with', () => {
  it.each([...FINAL, ...PASSING])(
    '$what for ever ends as a gap or failed, and the other comes',
    async (row) => {
      const { site } = await documentSite(world());
      site.sandbox.setFaults([faultOf(row.then)]);
      const [outcome, code] = row.ends;
      expect(await runHere(site)).toBe(outcome === 'gap' ? 0 : 3);
      const published = await newestRun(site);
      expect(await errorsOf(published)).toEqual([
        expect.objectContaining({ outcome, code, resourceType: 'Attachment', rosterLine: undefined }),
      ]);
      expect(await indexOf(published)).toEqual([GOOD_LINE]);
      await expectContents(published, [GOOD]);
      expect(published.manifest.extension.searches).toMatchObject({ ok: 3, [outcome]: 1 });
      expect((await site.run(['verify', published.folder])).code).toBe(0);
    },
  );

  it.each(PASSING)('$what once is asked for again', async ({ then }) => {
    const { site } = await documentSite(world());
    site.sandbox.setFaults([faultOf(then, { first: 1 })]);
    expect(await runHere(site)).toBe(0);
    await expectContents(await newestRun(site), [GOOD, BAD]);
  });

  it('a failure is asked for again by --retry-failed, and by nothing else; the earlier files are linked', async () => {
    const { site, asked } = await documentSite(world());
    site.sandbox.setFaults([faultOf({ status: 503 })]);
    expect(await runHere(site)).toBe(3);
    const before = await newestRun(site);
    site.sandbox.setFaults([]);
    const { good } = asked();
    expect(await runHere(site, { retryFailed: true })).toBe(0);
    const after = await newestRun(site);
    expect(after.runId).not.toBe(before.runId);
    expect((await indexOf(after)).map(({ resource }) => resource)).toEqual([
      'DocumentReference/bad',
      'DocumentReference/good',
    ]);
    await expectContents(after, [GOOD, BAD]);
    await expectContents(before, [GOOD]);
    expect(asked()['good']).toBe(good);
    const [linked] = before.files.filter((file) => file.startsWith('attachments/'));
    const inodes = await Promise.all(
      [before, after].map(async ({ folder }) => (await stat(path.join(folder, linked!))).ino),
    );
    expect(inodes[1]).toBe(inodes[0]);
    for (const { folder } of [before, after]) expect((await site.run(['verify', folder])).code).toBe(0);
  });
});

describe('Epic’s daily document quota', () => {
  it('stops asking for documents; what is at hand is stored, the rest is retried another day', async () => {
    const inline = bytesOf(100, 4);
    const { binaries, documents } = world();
    const more = Object.fromEntries(
      ['a', 'b', 'c', 'd'].map((id) => [
        `DiagnosticReport/${id}`,
        [{ contentType: PDF, url: `Binary/${id}` }],
      ]),
    );
    const { site, asked } = await documentSite(
      {
        binaries: { ...binaries, ...Object.fromEntries(['a', 'b', 'c', 'd'].map((id) => [id, [PDF, BAD]])) },
        documents: {
          ...documents,
          ...more,
          'DiagnosticReport/inline': [{ contentType: PDF, data: base64(inline) }],
        },
      },
      { 'api_settings.concurrency': 1 },
    );
    site.sandbox.setFaults([faultOf({ status: 400, outcome: '4135' })]);
    expect(await runHere(site)).toBe(3);
    const published = await newestRun(site);
    const errors = await errorsOf(published);
    expect(errors).toHaveLength(6);
    expect(new Set(errors.map(({ outcome, code }) => `${outcome} ${code}`))).toEqual(
      new Set(['failed FHIR_DOCUMENT_QUOTA']),
    );
    await expectContents(published, [inline]);
    expect(asked()).toEqual({ bad: 1 });

    site.sandbox.setFaults([]);
    expect(await runHere(site, { retryFailed: true })).toBe(0);
    await expectContents(await newestRun(site), [inline, GOOD, BAD]);
  });
});

describe('an attachment that is passed over', () => {
  const passedOver = async (bad: Attachment, settings: Readonly<Record<string, string>>, content = BAD) => {
    const { site, asked } = await documentSite(
      { ...world(bad), binaries: { ...world().binaries, bad: [PDF, content] } },
      settings,
    );
    const code = await runHere(site);
    const published = await newestRun(site);
    return { site, asked, code, published, report: await published.text('report.txt') };
  };

  it('by its type is not asked for, and counted', async () => {
    const { asked, code, published, report } = await passedOver(
      { contentType: 'Image/TIFF', url: 'Binary/bad' },
      { 'attachments.types': 'text/*, Application/PDF' },
    );
    expect(code).toBe(0);
    expect(asked()).toEqual({ good: 1 });
    await expectContents(published, [GOOD]);
    expect(published.manifest.extension.searches).toMatchObject({ ok: 3, empty: 2, gap: 0, failed: 0 });
    expect(published.manifest.error).toEqual([]);
    expect(report).toMatch(/^Attachments +1 file \(900 B\); passed over 1 by type$/m);
  });

  it('by the type that the server names, where the resource names none', async () => {
    const { asked, published, report } = await passedOver(
      { url: 'Binary/bad' },
      { 'attachments.types': 'text/html' },
    );
    expect(asked()).toEqual({ bad: 1 });
    await expectContents(published, []);
    expect(await published.text('attachments.ndjson')).toBe('');
    expect(report).toContain('passed over 2 by type');
  });

  it.each([
    ['the resource says', { ...LINK, size: 1_000_001 }, {}],
    ['the answer is', LINK, { bad: 1 }],
    ['the answer is, as FHIR', { url: 'Binary/bad' }, { bad: 1 }],
    ['its data is', { contentType: PDF, data: base64(Buffer.alloc(1_000_001)) }, {}],
  ])('for its size, as %s', async (_, bad, askedFor) => {
    const { asked, code, published, report } = await passedOver(
      bad,
      { 'attachments.max_megabytes': '1' },
      Buffer.alloc(1_000_001, 'x'),
    );
    expect(code).toBe(0);
    expect(asked()).toEqual({ good: 1, ...askedFor });
    await expectContents(published, [GOOD]);
    expect(report).toContain('passed over 1 by size');
  });

  it('takes one of just the size that is allowed', async () => {
    const content = Buffer.alloc(1_000_000, 'x');
    for (const bad of [LINK, { url: 'Binary/bad' }]) {
      const { published } = await passedOver(bad, { 'attachments.max_megabytes': '1' }, content);
      await expectContents(published, [GOOD, content]);
    }
  });

  it('stops a gzip bomb at the size that is allowed', async () => {
    const { site } = await documentSite(world(), { 'attachments.max_megabytes': '1' });
    site.sandbox.setFaults([faultOf({ gzipBombMegabytes: 30 })]);
    expect(await runHere(site)).toBe(0);
    const published = await newestRun(site);
    await expectContents(published, [GOOD]);
    expect(await published.text('report.txt')).toContain('passed over 1 by size');
  });
});

describe('a URL that leads away', () => {
  it('is a gap, and nobody there hears of it, least of all with a token', async () => {
    const thief = await startServer((response) => response.end('{"resourceType":"Binary"}'));
    const { site } = await documentSite({
      ...world(),
      documents: {
        'DocumentReference/good': [{ contentType: PDF, url: 'Binary/good' }],
        'DocumentReference/hostile': [
          `${thief.origin}/Binary/good`,
          `//127.0.0.1:${thief.port}/Binary/good`,
          `http://someone@127.0.0.1:${thief.port}/`,
          `\\\\127.0.0.1:${thief.port}\\Binary`,
          'file:///etc/passwd',
          'urn:uuid:53fefa32-fcbb-4ff8-8a92-55ee120877b7',
          '/elsewhere/Binary/good',
          'Binary/%2e%2e/%2e%2e/oauth2',
          '../../secret',
        ].map((url) => ({ contentType: PDF, url })),
      },
    });
    expect(await runHere(site)).toBe(0);
    const published = await newestRun(site);
    const errors = await errorsOf(published);
    expect(errors.map(({ outcome, code }) => `${outcome} ${code}`)).toEqual(
      Array.from({ length: 9 }, () => 'gap URL_REFUSED'),
    );
    expect(await indexOf(published)).toEqual([GOOD_LINE]);
    expect(thief.requests).toEqual([]);
    expect(site.sandbox.requests.filter(({ path }) => /secret|oauth2$|elsewhere/.test(path))).toEqual([]);
  });

  it('by a redirect is a gap', async () => {
    const thief = await startServer((response) => response.end('content'));
    const { site } = await documentSite(world());
    site.sandbox.setFaults([faultOf({ redirectTo: `${thief.origin}/Binary/bad` })]);
    expect(await runHere(site)).toBe(0);
    expect(await errorsOf(await newestRun(site))).toMatchObject([{ outcome: 'gap', code: 'URL_REFUSED' }]);
    expect(thief.requests).toEqual([]);
  });
});

describe('data that is no base64', () => {
  it.each(['####', 'QUJD=QUJ', 'QUJDR', '='])('%j is a gap', async (data) => {
    const { site } = await documentSite(world({ contentType: PDF, data }));
    expect(await runHere(site)).toBe(0);
    const published = await newestRun(site);
    expect(await errorsOf(published)).toMatchObject([{ outcome: 'gap', code: 'ATTACHMENT_UNREADABLE' }]);
    expect(await indexOf(published)).toEqual([GOOD_LINE]);
  });

  it('of a Binary without any is a gap', async () => {
    const { site } = await documentSite({
      ...world({ url: 'Binary/bad' }),
      binaries: { bad: [PDF, Buffer.alloc(0)], good: [PDF, GOOD] },
    });
    expect(await runHere(site)).toBe(0);
    expect(await errorsOf(await newestRun(site))).toMatchObject([
      { outcome: 'gap', code: 'ATTACHMENT_UNREADABLE' },
    ]);
  });
});

describe('Binaries on the list', () => {
  it('are stored from what came, and not asked for again', async () => {
    const { site, asked } = await documentSite(world(), {}, [...TYPES, 'Binary']);
    expect(await runHere(site)).toBe(0);
    const published = await newestRun(site);
    expect((await indexOf(published)).map(({ resource, place }) => `${resource} ${place}`)).toEqual([
      'Binary/bad data',
      'Binary/good data',
      'DocumentReference/bad content[0].attachment',
      'DocumentReference/good content[0].attachment',
    ]);
    await expectContents(published, [GOOD, BAD]);
    expect(Object.values(asked()).reduce((sum, times) => sum + times, 0)).toBeLessThanOrEqual(2);
  });
});

describe('without download', () => {
  it('nothing is asked for, and no folder is made', async () => {
    const { site, asked } = await documentSite(world(), { 'attachments.download': 'false' });
    expect(await runHere(site)).toBe(0);
    const published = await newestRun(site);
    expect(published.files.filter((file) => file.startsWith('attachments'))).toEqual([]);
    expect(await published.text('report.txt')).not.toContain('ttachment');
    expect(asked()).toEqual({});
  });

  it('with download and no type that has any on the list, the report says so', async () => {
    const { site } = await documentSite(world(), {}, ['Patient']);
    expect(await runHere(site)).toBe(0);
    expect(await (await newestRun(site)).text('report.txt')).toMatch(
      /no type that has them is on\s+the list/,
    );
  });
});
