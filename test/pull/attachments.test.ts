import { mkdir, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { storeContent, writeIndex, type IndexOptions } from '../../src/pull/attachmentFiles.ts';
import { emptyCommit } from '../../src/run/tally.ts';
import { PRIVATE_MODES } from '../../src/system/files.ts';
import { bytesOf, sha256 } from '../support/documents.ts';
import { createFakeClock } from '../support/fakeClock.ts';
import { beginTestRun, commitAll, testLedger } from '../support/ledger.ts';
import { rejection } from '../support/rejection.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const FHIR_BASE = 'https://fhir.example/R4';
const CONTENTS = [bytesOf(10, 1), bytesOf(20, 2), bytesOf(30, 3)];

/** A run that has downloaded three contents, all of them named by documents, and one document's that it could not have. */
async function downloaded(): Promise<IndexOptions> {
  const folder = await temporaryFolder();
  const folders = {
    arriving: path.join(folder, '.attachments'),
    kept: path.join(folder, 'attachments'),
    index: path.join(folder, 'attachments.ndjson'),
    modes: PRIVATE_MODES,
  };
  for (const one of [folders.arriving, folders.kept]) await mkdir(one);
  const documents = [...CONTENTS, Buffer.from('not to be had')].map((_, n) => ({
    resourceType: 'DocumentReference',
    id: `d${n}`,
    content: [{ attachment: { url: `Binary/b${n}` } }],
  }));
  const file = path.join(folder, 'DocumentReference.ndjson');
  await writeFile(file, documents.map((document) => `${JSON.stringify(document)}\n`).join(''));
  const ledger = await testLedger(await temporaryFolder());
  const run = beginTestRun(ledger);
  const rows = CONTENTS.map((content, n) => ({
    resourceType: 'Attachment',
    resourceId: `Binary/b${n}`,
    state: 1 as const,
    contentCrc: 0,
    content: { sha256: sha256(content), bytes: content.length, contentType: 'image/png' },
  }));
  const gap = { resourceType: 'Attachment', resourceId: 'Binary/b3', state: 2 as const, contentCrc: 0 };
  commitAll(ledger, run, [[emptyCommit(4), [...rows, gap]]]);
  for (const content of CONTENTS) expect(await storeContent(content, folders)).toBe(sha256(content));
  return {
    ledger,
    run,
    sources: [{ resourceType: 'DocumentReference', file }],
    folders,
    fhirBase: FHIR_BASE,
    clock: createFakeClock(),
    signal: new AbortController().signal,
  };
}

const INDEX = CONTENTS.map((content, n) => ({
  resource: `DocumentReference/d${n}`,
  place: 'content[0].attachment',
  path: `attachments/${sha256(content)}`,
  contentType: 'image/png',
  bytes: content.length,
  url: `Binary/b${n}`,
}));

async function expectIndexed({ folders }: IndexOptions): Promise<void> {
  const lines = (await readFile(folders.index, 'utf8')).trimEnd().split('\n');
  expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual(INDEX);
  expect((await readdir(folders.kept)).toSorted()).toEqual(CONTENTS.map(sha256).toSorted());
}

describe('the index', () => {
  it('names what was downloaded, and what is kept is that and nothing else', async () => {
    const options = await downloaded();
    await writeFile(path.join(options.folders.arriving, '0'.repeat(64)), 'stored, and never committed');
    expect(await writeIndex(options)).toEqual({ files: 3, bytes: 60 });
    await expectIndexed(options);
  });

  it('is made anew, and the same, wherever a crash left it', async () => {
    const options = await downloaded();
    const { folders } = options;
    await writeFile(folders.index, '{"resource":"half a li');
    await writeFile(path.join(folders.kept, sha256(CONTENTS[0]!)), CONTENTS[0]!);
    await rm(path.join(folders.arriving, sha256(CONTENTS[0]!)));
    for (const _ of ['first', 'again']) {
      expect(await writeIndex(options)).toEqual({ files: 3, bytes: 60 });
      await expectIndexed(options);
    }
    // What a retried run has of its base is not stored a second time.
    expect(await storeContent(CONTENTS[0]!, folders)).toBe(sha256(CONTENTS[0]!));
    expect(await readdir(folders.arriving)).toEqual([]);
  });

  it.each([
    ['is gone', (file: string) => rm(file)],
    ['is cut', (file: string) => truncate(file, 5)],
  ])('is not written when a content that was committed %s', async (_, harm) => {
    const options = await downloaded();
    await harm(path.join(options.folders.arriving, sha256(CONTENTS[1]!)));
    expect((await rejection(writeIndex(options))).code).toBe('RUN_NOT_RESUMABLE');
  });
});
