import { chmod, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { startSandbox } from '../../src/sandbox/startSandbox.ts';
import { askedFor, heldBy } from '../support/asked.ts';
import {
  base64,
  bytesOf,
  documentSite,
  expectContents,
  indexLine,
  indexOf,
  sha256,
  TYPES,
  type World,
} from '../support/documents.ts';
import { errorsOf, newestRun, runsOf } from '../support/publishedRun.ts';
import { runHere } from '../support/runHere.ts';
import { siteForTest, textsBelow } from '../support/site.ts';

const NOTE = Buffer.from('<p>Kanari note, 1.50 mg, Świątek 🩺</p>\r\n');
const SCAN = bytesOf(30_000, 3);
const LETTER = bytesOf(2_000, 5);
const FORM = Buffer.from('{\\rtf1 Kanari form}');
const JSON_FORM = Buffer.from('{"answer": 1.50}');

const WORLD: World = {
  binaries: {
    note: ['text/html', NOTE],
    scan: ['application/pdf', SCAN],
    letter: ['application/pdf', LETTER],
    'same-as-note': ['text/html', NOTE],
    form: ['application/json', JSON_FORM],
  },
  documents: {
    'DocumentReference/d1': [{ contentType: 'text/html; charset=utf-8', url: 'Binary/note' }],
    'DocumentReference/d2': [
      { contentType: 'application/pdf', url: 'Binary/scan' },
      { contentType: 'text/html', url: 'Binary/same-as-note' },
    ],
    // Without a type: the sandbox answers with a FHIR Binary, as Epic does where FHIR is not refused.
    'DocumentReference/d3': [{ url: 'Binary/letter' }],
    'DocumentReference/d4': [{ contentType: 'application/pdf', url: 'Binary/scan' }],
    'DocumentReference/d5': [{ contentType: 'text/rtf', data: base64(FORM) }],
    'DocumentReference/d6': [{ contentType: 'application/json', url: 'Binary/form' }],
    'DocumentReference/nothing': [{ contentType: 'text/html' }],
    'DiagnosticReport/r1': [
      { contentType: 'application/pdf', url: 'Binary/scan' },
      { contentType: 'text/html', data: base64(NOTE) },
    ],
  },
};

describe('attachments', () => {
  it('are downloaded once each, byte for byte, whether the server answers with content or with FHIR', async () => {
    const { site, asked } = await documentSite(WORLD);
    expect(await runHere(site)).toBe(0);
    const published = await newestRun(site);
    const { documents } = WORLD;
    const line = (resource: string, at: number, content: Buffer, contentType?: string) =>
      indexLine(resource, at, content, { ...documents[resource]![at]!, ...(contentType && { contentType }) });
    expect(await indexOf(published)).toEqual([
      line('DiagnosticReport/r1', 0, SCAN),
      line('DiagnosticReport/r1', 1, NOTE),
      line('DocumentReference/d1', 0, NOTE),
      line('DocumentReference/d2', 0, SCAN),
      line('DocumentReference/d2', 1, NOTE),
      line('DocumentReference/d3', 0, LETTER, 'application/pdf'),
      line('DocumentReference/d4', 0, SCAN),
      line('DocumentReference/d5', 0, FORM),
      line('DocumentReference/d6', 0, JSON_FORM),
    ]);
    await expectContents(published, [NOTE, SCAN, LETTER, FORM, JSON_FORM]);
    expect(asked()).toEqual({ note: 1, scan: 1, letter: 1, 'same-as-note': 1, form: 1 });

    const { searches } = published.manifest.extension;
    // 3 searches, and 7 contents: 5 Binaries and 2 that stand in their resources.
    expect(searches).toEqual({ planned: 10, ok: 10, empty: 0, gap: 0, failed: 0 });
    const bytes = [NOTE, SCAN, LETTER, FORM, JSON_FORM].reduce((sum, { length }) => sum + length, 0);
    const report = await published.text('report.txt');
    expect(report).toMatch(/^Attachments +5 files \(32\.1 kB\)$/m);
    // Records, files, size, ok, empty, gap, failed.
    expect(report).toMatch(/^Attachment +0 +5 +32\.1 kB +7 +0 +0 +0 /m);
    expect(report).toMatch(/^Total +9 +8 /m);
    const log = (await published.text('log.ndjson')).trimEnd().split('\n');
    const complete = log.map((text) => JSON.parse(text) as LogLine).at(-1)!;
    expect(complete).toMatchObject({ eventId: 'export_complete', eventDetail: { attachments: 5 } });
    expect(complete.eventDetail.bytes).toBeGreaterThan(bytes);
    expect((await site.run(['verify', published.folder])).code).toBe(0);
  });

  it('are the same by their URLs, relative and absolute, as those that came as Binary resources', async () => {
    const sandbox = await startSandbox({ patients: 5, smtp: false });
    onTestFinished(() => sandbox.close());
    const contentsOf = async (resources: readonly string[]) => {
      const site = await siteForTest({
        sandbox,
        resources,
        mail: false,
        settings: { 'attachments.download': 'true' },
      });
      expect(await runHere(site)).toBe(0);
      const published = await newestRun(site);
      expect(await errorsOf(published)).toEqual([]);
      return { published, index: await indexOf(published) };
    };
    const byUrl = await contentsOf(['DocumentReference']);
    const asResources = await contentsOf(['DocumentReference', 'Binary']);
    expect(byUrl.index).toHaveLength(byUrl.published.lines.length);
    expect(new Set(byUrl.index.map(({ url }) => url!.startsWith('http')))).toEqual(new Set([true, false]));
    expect(asResources.index.filter(({ resource }) => !resource.startsWith('Binary/'))).toEqual(byUrl.index);
    const binaries = asResources.published.lines.filter(({ resourceType }) => resourceType === 'Binary');
    const contents = binaries.map(({ text }) =>
      Buffer.from((JSON.parse(text) as { data: string }).data, 'base64'),
    );
    expect(contents.length).toBeGreaterThan(10);
    await expectContents(byUrl.published, contents);
    await expectContents(asResources.published, contents);
  });

  it('survive kill -9: what was committed is not asked for again, and the result is exact', async () => {
    const contents = Array.from({ length: 60 }, (_, n) => bytesOf(2_000 + n, n));
    const { site, asked } = await documentSite(
      {
        binaries: Object.fromEntries(contents.map((content, n) => [`b${n}`, ['application/pdf', content]])),
        documents: Object.fromEntries(
          contents.map((_, n) => [
            `DocumentReference/d${n}`,
            [{ contentType: 'application/pdf', url: `Binary/b${n}` }],
          ]),
        ),
      },
      { 'api_settings.concurrency': 2 },
      TYPES,
      120,
    );
    const begun = (): number => Object.keys(asked()).length;
    for (const kills of [1, 2]) {
      const { signal } = await site.stopWhen(() => begun() >= 20 * kills, 'SIGKILL', ['run']);
      expect(signal).toBe('SIGKILL');
    }
    expect(await runsOf(site)).toEqual([]);
    const { done } = await heldBy(site);
    expect([...done].filter((name) => name.startsWith('Binary/')).length).toBeGreaterThan(10);
    const before = site.sandbox.requests.length;
    // What a crash may leave: a file that was stored and never committed, and one that was not even whole.
    const { runId } = await heldBy(site);
    const arriving = path.join(site.exportFolder, 'default', '.staging', runId!, '.attachments');
    for (const name of [sha256(Buffer.from('never committed')), `.${'0'.repeat(64)}.draft`]) {
      await writeFile(path.join(arriving, name), 'never committed');
    }
    expect((await site.run(['run'])).code).toBe(0);
    const again = askedFor(site.sandbox.requests.slice(before)).filter((name) => done.has(name));
    expect(again).toEqual([]);
    const published = await newestRun(site);
    expect((await indexOf(published)).map(({ url, path: file }) => `${url} ${file}`).toSorted()).toEqual(
      contents.map((content, n) => `Binary/b${n} attachments/${sha256(content)}`).toSorted(),
    );
    await expectContents(published, contents);
    expect(published.files.filter((file) => file.startsWith('.'))).toEqual([]);
    expect((await site.run(['verify', published.folder])).code).toBe(0);
  });

  it('are one content and one request, however many documents name it, and as many documents as there are', async () => {
    const page = Buffer.from('<p>the page of all</p>');
    const names = Array.from({ length: 5_100 }, (_, n) => `DocumentReference/d${n}`);
    const { site, asked } = await documentSite(
      {
        binaries: { page: ['text/html', page] },
        documents: Object.fromEntries(
          names.map((name) => [
            name,
            [
              { contentType: 'image/png', data: base64(name) },
              { contentType: 'text/html', url: 'Binary/page' },
            ],
          ]),
        ),
      },
      { 'attachments.types': 'text/html', 'api_settings.page_size': 1000 },
    );
    expect(await runHere(site)).toBe(0);
    const published = await newestRun(site);
    expect(asked()).toEqual({ page: 1 });
    await expectContents(published, [page]);
    expect((await indexOf(published)).map(({ resource }) => resource).toSorted()).toEqual(names.toSorted());
    expect(await published.text('report.txt')).toContain('1 file (22 B); passed over 5,100 by type');
  });

  it('are covered by verify', async () => {
    const { site } = await documentSite(WORLD);
    expect(await runHere(site)).toBe(0);
    const first = await newestRun(site);
    const [one, two] = first.files.filter((file) => file.startsWith('attachments/'));
    await chmod(path.join(first.folder, one!), 0o600);
    await writeFile(path.join(first.folder, one!), 'changed');
    await rm(path.join(first.folder, two!));
    await writeFile(path.join(first.folder, 'attachments', 'more'), '');
    const { code, stdout, stderr } = await site.run(['verify', first.folder]);
    expect(code).toBe(4);
    for (const file of [one!, two!, 'attachments/more']) expect(stdout + stderr).toContain(file);
  });

  it('have the modes of the other files, also where a group may read', async () => {
    const { site } = await documentSite(WORLD, { 'paths.export_mode': 'group' });
    expect(await runHere(site)).toBe(0);
    const { folder, files } = await newestRun(site);
    const modeOf = async (name: string) => (await stat(path.join(folder, name))).mode & 0o777;
    expect(await modeOf('attachments')).toBe(0o750);
    for (const file of files) expect([file, await modeOf(file)]).toEqual([file, 0o640]);
  });

  it('leave nothing of themselves in logs or reports, nor on the screen', async () => {
    const { site } = await documentSite({
      ...WORLD,
      documents: {
        ...WORLD.documents,
        'DocumentReference/away': [{ contentType: 'text/html', url: 'https://kanari.example/Kanari.html' }],
        'DocumentReference/broken': [{ contentType: 'text/KanariType', data: 'Kanari?' }],
        'DocumentReference/gone': [{ contentType: 'text/html', url: 'Binary/KanariGone' }],
      },
    });
    const { code, stdout, stderr } = await site.run(['run']);
    expect(code).toBe(0);
    const published = await newestRun(site);
    expect(await errorsOf(published)).toHaveLength(3);
    const seen = [
      stdout,
      stderr,
      await published.text('report.txt'),
      await published.text('report.html'),
      await published.text('log.ndjson'),
      await published.text('manifest.json'),
      await published.text('error/OperationOutcome.ndjson'),
      ...(await textsBelow(site.logFolder)).values(),
    ];
    expect(seen.filter((text) => /kanari|Binary\/note/i.test(text))).toEqual([]);
  });
});

interface LogLine {
  readonly eventId: string;
  readonly eventDetail: { readonly attachments: number; readonly bytes: number };
}
