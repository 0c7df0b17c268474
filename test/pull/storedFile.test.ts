import { readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { RoundsError } from '../../src/errors.ts';
import { Judge } from '../../src/ndjson/judge.ts';
import { StoredFile } from '../../src/pull/storedFile.ts';
import { PRIVATE_MODES } from '../../src/system/files.ts';
import { rejection, thrown } from '../support/rejection.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';
import { linesIn, openAt, patients, prepare, served, sha256 } from './downloading.ts';

const MB = 1 << 20;

/** A thread that takes every question and answers none. */
const MUTE = new URL(
  'data:text/javascript,import{parentPort as p}from"node:worker_threads";p.on("message",()=>0)',
);
/** One that is gone at the third question: the first is that a file begins. */
const MORTAL = new URL(
  'data:text/javascript,import{parentPort as p}from"node:worker_threads";let n=0;p.on("message",()=>{if(++n===3)process.exit()})',
);

async function create(thread?: URL) {
  const judge = Judge.start(thread);
  onTestFinished(() => judge.close());
  const folder = await temporaryFolder();
  const file = path.join(folder, 'Patient.ndjson');
  const stored = await StoredFile.create({
    file,
    keysFile: path.join(folder, 'Patient.keys'),
    modes: PRIVATE_MODES,
    resourceType: 'Patient',
    judge,
  });
  onTestFinished(() => stored.close());
  return { judge, file, stored };
}

/** As the download does. */
async function pushAll(stored: StoredFile, content: Buffer, size = 1 << 16): Promise<void> {
  for (let at = 0; at < content.length; at += size) {
    stored.push(content.subarray(at, at + size));
    if (stored.isFull) await stored.room();
  }
}

describe('a file that is stored', () => {
  it('takes chunks of any size, whose memory is used again', async () => {
    const content = patients(3 * MB);
    for (const size of [1 << 16, 5 * MB]) {
      const { file, stored } = await create();
      const memory = Buffer.alloc(size);
      for (let at = 0; at < content.length; at += size) {
        const length = content.copy(memory, 0, at);
        stored.push(memory.subarray(0, length));
        memory.fill(0);
        if (stored.isFull) await stored.room();
      }
      const { bytes, count } = { bytes: content.length, count: linesIn(content) };
      expect(await stored.finish()).toEqual({ bytes, count, sha256: sha256(content) });
      expect((await readFile(file)).equals(content)).toBe(true);
    }
  });

  it('holds nothing that was not judged, and asks who brings more to wait', async () => {
    const { judge, file, stored } = await create(MUTE);
    const content = patients(4 * MB);
    let pushed = 0;
    while (!stored.isFull) {
      stored.push(content.subarray(pushed, pushed + 1000));
      pushed += 1000;
    }
    // Two blocks.
    expect(pushed).toBeLessThan(2 * MB);
    const waits = rejection(stored.room());
    const ends = rejection(stored.finish());
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect([stored.bytes, stored.lines]).toEqual([0, 0]);
    expect(await readFile(file)).toHaveLength(0);
    await judge.close();
    for (const failure of [waits, ends]) expect((await failure).code).toBe('INTERNAL');
    await stored.close();
    expect(await readFile(file)).toHaveLength(0);
  });

  it('ends before the block of a wrong line, however late it is found', async () => {
    const { file, stored } = await create();
    const content = patients(3 * MB);
    const spoiled = Buffer.concat([content, Buffer.from('{"resourceType":"Basic"}\n'), content]);
    const error = await rejection(pushAll(stored, spoiled).then(() => stored.finish()));
    expect(error.code).toBe('BULK_FILE_MALFORMED');
    expect(error.message).toContain(`line ${linesIn(content) + 1} `);
    expect(thrown(() => stored.push(content)).code).toBe('BULK_FILE_MALFORMED');
    expect((await rejection(stored.flush())).code).toBe('BULK_FILE_MALFORMED');
    await stored.close();
    const there = await readFile(file);
    expect(there).toHaveLength(stored.bytes);
    expect(there.equals(content.subarray(0, there.length))).toBe(true);
  });
});

describe('a download whose thread', () => {
  it('ends fails, and leaves nothing', async () => {
    const content = patients(3 * MB);
    const at = await prepare(served({ content }));
    const judge = Judge.start(MORTAL);
    onTestFinished(() => judge.close());
    expect((await rejection(at.run({ judge }))).code).toBe('INTERNAL');
    expect(readdirSync(path.dirname(at.options.file))).toEqual([]);
  });

  it('serves others goes on with them when it is aborted', async () => {
    const content = patients(3 * MB);
    const aborter = new AbortController();
    const { signal } = aborter;
    const aborted = await prepare((response) => {
      response.writeHead(200, { 'content-length': content.length });
      response.write(content.subarray(0, 2 * MB), () =>
        aborter.abort(new RoundsError('INTERRUPTED', 'enough')),
      );
    });
    const { judge } = aborted.options;
    const other = await prepare(served({ content }), { judge });
    const open = openAt(`${aborted.server.origin}/file`, { signal });
    const [first, second] = await Promise.allSettled([aborted.run({ signal, open }), other.run()]);
    expect(first).toMatchObject({ status: 'rejected', reason: { code: 'INTERRUPTED' } });
    expect(second).toMatchObject({ status: 'fulfilled', value: { sha256: sha256(content) } });
  });
});
