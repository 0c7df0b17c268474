import { existsSync, readdirSync } from 'node:fs';
import { appendFile, readFile, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { RoundsError } from '../../src/errors.ts';
import { isWhole } from '../../src/ndjson/keysFile.ts';
import type { DownloadedFile } from '../../src/pull/bulkDownload.ts';
import { GROUP_MODES } from '../../src/system/files.ts';
import { inTurn, type Answer } from '../support/httpServer.ts';
import { rejection } from '../support/rejection.ts';
import {
  linesIn,
  openAt,
  patients,
  prepare,
  served,
  sha256,
  writeAndCut,
  type Downloading,
} from './downloading.ts';

const MB = 1 << 20;
const content = patients(3 * MB);

/** The file holds exactly `wanted`, and everything told about it fits. */
async function expectWhole(at: Downloading, done: DownloadedFile, wanted = content): Promise<void> {
  const { options } = at;
  expect((await readFile(options.file)).equals(wanted)).toBe(true);
  const { bytes, count } = done;
  expect({ bytes, count, sha256: done.sha256 }).toEqual({
    bytes: wanted.length,
    count: linesIn(wanted),
    sha256: sha256(wanted),
  });
  expect(await isWhole(options.keysFile, count)).toBe(true);
  await done.sync();
  await done.close();
}

async function expectNothing({ options }: Downloading): Promise<void> {
  expect(readdirSync(path.dirname(options.file))).toEqual([]);
}

describe('a download', () => {
  it('asks for gzip and stores the file byte for byte', async () => {
    const at = await prepare(served({ content }), { modes: GROUP_MODES, expectedCount: linesIn(content) });
    await expectWhole(at, await at.run());
    expect(at.server.requests.map(({ headers }) => headers['accept-encoding'])).toEqual(['gzip']);
    if (process.platform !== 'win32') expect((await stat(at.options.file)).mode & 0o777).toBe(0o640);
  });

  it('of an empty file is an empty file', async () => {
    const empty = Buffer.alloc(0);
    for (const etag of ['"a"', undefined]) {
      const at = await prepare(served({ content: empty, ...(etag ? { etag } : {}) }), { expectedCount: 0 });
      await expectWhole(at, await at.run(), empty);
    }
  });

  it('leaves out what belongs to no line', async () => {
    const [a, b] = ['{"resourceType":"Patient","id":"a"}', '{"resourceType":"Patient","id":"b"}'];
    const at = await prepare(served({ content: Buffer.from(`\uFEFF${a}\r\n\r\n\n${b}`) }), {
      expectedCount: 2,
    });
    await expectWhole(at, await at.run(), Buffer.from(`${a}\n${b}\n`));
  });

  it('takes over what an earlier one left', async () => {
    const at = await prepare(served({ content: content.subarray(0, 0) }));
    await writeFile(at.options.file, 'left');
    await writeFile(at.options.keysFile, 'left');
    await expectWhole(at, await at.run(), Buffer.alloc(0));
  });

  it('takes a file that drips in single bytes', async () => {
    const small = patients(2000);
    const at = await prepare((response) => {
      let sent = 0;
      const more = (): void => {
        if (sent === small.length) response.end();
        else response.write(small.subarray(sent, ++sent), () => setImmediate(more));
      };
      more();
    });
    await expectWhole(at, await at.run(), small);
  });

  it('of thousands of tiny files leaves no handle open', async () => {
    const tiny = patients(100);
    const at = await prepare(served({ content: tiny }));
    await (await at.run()).sync();
    const before = existsSync('/proc/self/fd') ? readdirSync('/proc/self/fd').length : 0;
    for (let n = 0; n < 1000; n++) await (await at.run())[n % 2 === 0 ? 'close' : 'sync']();
    const after = existsSync('/proc/self/fd') ? readdirSync('/proc/self/fd').length : 0;
    expect(after - before).toBeLessThan(20);
    expect(await readFile(at.options.file)).toEqual(tiny);
  });
});

describe('a body that is cut', () => {
  const half = Math.floor(content.length / 2);

  it('goes on by Range where the ETag is strong, with an overlap', async () => {
    const whole = { content, etag: '"v1"' };
    const at = await prepare(inTurn(served({ ...whole, cutAt: half }), served(whole)));
    await expectWhole(at, await at.run());
    expect(at.server.requests[1]?.headers).toMatchObject({
      range: `bytes=${half - 65_536}-`,
      'if-range': '"v1"',
      'accept-encoding': 'identity',
    });
  });

  it('goes on without If-Range where the ETag is weak, or of the gzip form', async () => {
    const weak: Answer = (response) => {
      response.writeHead(200, { 'content-length': content.length, etag: 'W/"v1"' });
      writeAndCut(response, content.subarray(0, half));
    };
    const compressed = gzipSync(content);
    // Not closed, so that all that came is unpacked by the time the wait for more is over.
    const gzip: Answer = (response) => {
      response.writeHead(200, { 'content-encoding': 'gzip', etag: '"v1"' });
      response.write(compressed.subarray(0, compressed.length - 100));
    };
    for (const cut of [weak, gzip]) {
      const at = await prepare(inTurn(cut, served({ content })));
      const open = openAt(`${at.server.origin}/file`, { timeoutMs: 1000 });
      await expectWhole(at, await at.run({ open }));
      expect(at.ranges()[1]).toMatch(/^bytes=\d+-$/);
      expect(at.server.requests[1]?.headers['if-range']).toBeUndefined();
    }
  });

  it.each<readonly [string, Answer]>([
    [
      'reset',
      (response) => response.write(content.subarray(0, half), () => response.socket?.resetAndDestroy()),
    ],
    ['stalled', (response) => void response.write(content.subarray(0, half))],
  ])('by being %s goes on', async (_, trouble) => {
    const at = await prepare(inTurn(trouble, served({ content })));
    const open = openAt(`${at.server.origin}/file`, { timeoutMs: 300 });
    await expectWhole(at, await at.run({ open }));
    expect(at.ranges()[1]).toMatch(/^bytes=/);
  });

  it('before its first byte is asked for again', async () => {
    const at = await prepare(inTurn(served({ content, etag: '"a"', cutAt: 0 }), served({ content })));
    await expectWhole(at, await at.run());
    expect(at.ranges()).toEqual([undefined, undefined]);
  });

  it('anywhere gives the same file', async () => {
    const small = patients(1500);
    for (let cutAt = 1; cutAt < small.length; cutAt += 97) {
      const whole = { content: small, etag: '"a"' };
      const at = await prepare(
        inTurn(served({ ...whole, cutAt }), served({ ...whole, cutAt: 300 }), served(whole)),
      );
      await expectWhole(at, await at.run(), small);
    }
  });

  it('again and again is fetched to its end as long as it gets on', async () => {
    const long = patients(12 * MB);
    const at = await prepare(served({ content: long, etag: '"a"', cutAt: 1.5 * MB }), { maxAttempts: 2 });
    await expectWhole(at, await at.run(), long);
    expect(at.server.requests.length).toBeGreaterThan(7);
  });

  it('again and again without getting on is given up, and nothing is left', async () => {
    const stuck = served({ content, etag: '"a"', cutAt: 70_000 });
    const at = await prepare(stuck, { maxAttempts: 4 });
    expect((await rejection(at.run())).code).toBe('BODY_CUT');
    expect(at.server.requests).toHaveLength(4);
    await expectNothing(at);
  });

  it('again and again behind the same place, from the start each time, is given up', async () => {
    const at = await prepare((response) => {
      response.writeHead(200, { 'content-length': content.length });
      writeAndCut(response, content.subarray(0, 2 * MB));
    });
    expect((await rejection(at.run())).code).toBe('BODY_CUT');
    // The first brought something new.
    expect(at.server.requests).toHaveLength(4);
    await expectNothing(at);
  });

  it('waits longer and longer', async () => {
    const at = await prepare(served({ content, etag: '"a"', cutAt: 10 }), { maxAttempts: 5 });
    await rejection(at.run());
    const { sleeps } = at.options.clock as unknown as { sleeps: readonly number[] };
    expect(sleeps).toEqual([1000, 2000, 4000, 8000]);
  });

  it('after something was left out begins anew', async () => {
    const crlf = Buffer.from(content.toString('utf8').replaceAll('\n', '\r\n'));
    const whole = { content: crlf, etag: '"a"' };
    const at = await prepare(inTurn(served({ ...whole, cutAt: half }), served(whole)));
    await expectWhole(at, await at.run());
    expect(at.ranges()).toEqual([undefined, undefined]);
  });
});

describe('a server that does not go on', () => {
  const whole = { content, etag: '"v1"' };
  const cut = served({ ...whole, cutAt: 2 * MB });
  const part =
    (from: (asked: number) => number, headers: Record<string, string>, body = content): Answer =>
    (response, request) => {
      const at = from(Number(/\d+/.exec(request.headers.range ?? '')?.[0]));
      response.writeHead(206, {
        'content-range': `bytes ${at}-${body.length - 1}/${body.length}`,
        ...headers,
      });
      response.end(body.subarray(at));
    };

  it('but gives the whole is taken at its word', async () => {
    const at = await prepare(inTurn(cut, (response) => void response.writeHead(200).end(content)));
    await expectWhole(at, await at.run());
    expect(at.server.requests).toHaveLength(2);
  });

  it('and has another file by now gives that, whole', async () => {
    const other = patients(3 * MB, 'x');
    const at = await prepare(inTurn(cut, served({ content: other, etag: '"v2"' })));
    const done = await at.run();
    expect([done.sha256, done.count]).toEqual([sha256(other), linesIn(other)]);
    expect((await readFile(at.options.file)).equals(other)).toBe(true);
  });

  it.each<readonly [string, Answer]>([
    ['416', (response) => void response.writeHead(416).end()],
    ['another part', part((asked) => asked + 10, {})],
    ['an earlier part', part((asked) => asked - 10, {})],
    ['a part without its range', part((asked) => asked, { 'content-range': '' })],
    ['a part of another version', part((asked) => asked, { etag: '"v2"' })],
    ['a part that is encoded', part((asked) => asked, { 'content-encoding': 'gzip' })],
    ['a part of other bytes', part((asked) => asked, {}, patients(3 * MB, 'x'))],
    ['a part of a shorter file', part((asked) => asked, {}, content.subarray(0, 2 * MB - 5))],
  ])('but answers %s is asked for the whole', async (_, answer) => {
    const at = await prepare(inTurn(cut, answer, served(whole)));
    await expectWhole(at, await at.run());
    expect(at.ranges()).toEqual([undefined, expect.stringMatching(/^bytes=/), undefined]);
  });

  it('and answers less than was asked for is asked for the rest', async () => {
    const parts: Answer = (response, request) => {
      const from = Number(/\d+/.exec(request.headers.range ?? '')?.[0]);
      const to = Math.min(from + 300_000, content.length);
      response.writeHead(206, { 'content-range': `bytes ${from}-${to - 1}/${content.length}`, etag: '"v1"' });
      response.end(content.subarray(from, to));
    };
    const at = await prepare(inTurn(cut, parts), { maxAttempts: 20 });
    await expectWhole(at, await at.run());
    expect(at.server.requests.length).toBeGreaterThan(4);
  });

  it('nor begins, but gives a part where the whole was asked for, is given up', async () => {
    const at = await prepare(part(() => 0, {}));
    expect((await rejection(at.run())).code).toBe('BODY_CUT');
    expect(at.server.requests).toHaveLength(3);
    await expectNothing(at);
  });
});

describe('a file that is wrong', () => {
  const broken = Buffer.concat([content, Buffer.from('{"resourceType":"Patient","id"\n')]);
  const notUtf8 = Buffer.concat([content, Buffer.from('{"resourceType":"Patient","id":"\xff"}\n', 'latin1')]);

  it.each([
    ['cut in a line', broken, 'BULK_FILE_MALFORMED'],
    ['not UTF-8', notUtf8, 'BULK_FILE_MALFORMED'],
    ['of another type', Buffer.from('{"resourceType":"Basic"}'), 'BULK_FILE_MALFORMED'],
    ['one line short', content.subarray(0, content.lastIndexOf(10, -2) + 1), 'BULK_COUNT_DIFFERS'],
  ] as const)('by being %s is fetched once more, and then given up', async (_, wrong, code) => {
    const mended = await prepare(inTurn(served({ content: wrong, etag: '"a"' }), served({ content })), {
      expectedCount: linesIn(content),
    });
    const done = await mended.run();
    expect([done.sha256, sha256(await readFile(mended.options.file))]).toEqual(
      Array(2).fill(sha256(content)),
    );
    expect(mended.ranges()).toEqual([undefined, undefined]);
    const at = await prepare(served({ content: wrong }), { expectedCount: linesIn(content) });
    expect((await rejection(at.run())).code).toBe(code);
    expect(at.server.requests).toHaveLength(2);
    await expectNothing(at);
  });
});

describe('a trouble that is none of the body', () => {
  it('is thrown at once, and nothing is left', async () => {
    const at = await prepare(
      inTurn(served({ content, etag: '"a"', cutAt: 2 * MB }), (r) => void r.writeHead(410).end()),
    );
    expect((await rejection(at.run())).code).toBe('HTTP_GONE');
    expect(at.server.requests).toHaveLength(2);
    await expectNothing(at);
  });

  it('of the disk names the file and no more', async () => {
    const at = await prepare(served({ content }));
    const error = await rejection(at.run({ file: path.join(at.options.file, 'none', 'Patient.ndjson') }));
    expect(error).toMatchObject({ code: 'PATH_UNUSABLE', message: 'Patient.ndjson: ENOENT' });
    expect(at.server.requests).toEqual([]);
  });

  it('of the disk while it is written leaves nothing', async () => {
    if (!existsSync('/dev/full')) return;
    const at = await prepare(served({ content }));
    // A link, which is what is removed.
    await symlink('/dev/full', at.options.keysFile);
    expect((await rejection(at.run())).code).toBe('DISK_FULL');
    expect(at.server.requests).toHaveLength(1);
    await expectNothing(at);
  });

  it('of the ledger is thrown as it is', async () => {
    const at = await prepare(served({ content, etag: '"a"' }), { checkpointBytes: MB });
    const trouble = new RoundsError('LEDGER_DAMAGED', 'x');
    expect(await rejection(at.run({ checkpoint: async () => Promise.reject(trouble) }))).toBe(trouble);
    await expectNothing(at);
  });
});

describe('a checkpoint', () => {
  const long = patients(6 * MB);

  it('is told of after so many bytes, with lines and ETag', async () => {
    const at = await prepare(served({ content: long, etag: '"a"' }), { checkpointBytes: 2 * MB });
    await expectWhole(at, await at.run(), long);
    expect(at.checkpoints.length).toBeGreaterThan(1);
    let before = 0;
    for (const { bytes, count, etag } of at.checkpoints) {
      expect([count, etag]).toEqual([linesIn(long.subarray(0, bytes)), '"a"']);
      expect(bytes - before).toBeGreaterThanOrEqual(2 * MB);
      before = bytes;
    }
  });

  it('is none where the file is not what the server has', async () => {
    const marked = Buffer.concat([Buffer.from('\uFEFF'), long]);
    const at = await prepare(served({ content: marked }), { checkpointBytes: MB });
    await expectWhole(at, await at.run(), long);
    expect(at.checkpoints).toEqual([]);
  });

  it('is also made where the server is slower than the judging', async () => {
    const pieces = Array.from({ length: 12 }, (_, no) =>
      long.subarray((no * long.length) / 12, ((no + 1) * long.length) / 12),
    );
    const drip = async (response: ServerResponse): Promise<void> => {
      response.writeHead(200, { 'content-length': long.length });
      for (const piece of pieces) {
        response.write(piece);
        await sleep(100);
      }
      response.end();
    };
    const at = await prepare((response) => void drip(response), { checkpointBytes: 2 * MB });
    await expectWhole(at, await at.run(), long);
    expect(at.checkpoints.length).toBeGreaterThanOrEqual(2);
  });

  /** Stops at the second checkpoint, as a drain or a crash does. */
  async function interrupted(etag?: string) {
    const controller = new AbortController();
    const reason = new RoundsError('INTERRUPTED', 'stop');
    const at = await prepare(served({ content: long, ...(etag ? { etag } : {}) }), {
      checkpointBytes: 2 * MB,
    });
    const { signal } = controller;
    const stopped = at.run({
      signal,
      open: openAt(`${at.server.origin}/file`, { signal }),
      checkpoint: async (checkpoint) => {
        at.checkpoints.push(checkpoint);
        if (at.checkpoints.length === 2) controller.abort(reason);
      },
    });
    expect(await rejection(stopped)).toBe(reason);
    const from = at.checkpoints.at(-1)!;
    at.checkpoints.length = 0;
    return { at, from };
  }

  it.each(['"a"', undefined])('is where the next run goes on (ETag %s)', async (etag) => {
    const { at, from } = await interrupted(etag);
    await appendFile(at.options.file, 'what was written and never vouched for');
    await expectWhole(at, await at.run({ from }), long);
    expect(at.ranges()[1]).toBe(`bytes=${from.bytes - 65_536}-`);
    expect(at.server.requests[1]?.headers['if-range']).toBe(etag);
    expect(at.checkpoints.every(({ bytes }) => bytes > from.bytes)).toBe(true);
  });

  it.each<readonly [string, (file: string, bytes: number) => Promise<unknown>]>([
    ['shorter', (file, bytes) => truncate(file, bytes - 1)],
    ['damaged', async (file) => writeFile(file, (await readFile(file)).fill(0, 100, 200))],
    [
      'of other lines',
      async (file) => writeFile(file, (await readFile(file)).fill(' ', 0, long.indexOf(10))),
    ],
  ])('whose file is %s is taken back, and the file begun anew', async (_, spoil) => {
    const { at, from } = await interrupted('"a"');
    await spoil(at.options.file, from.bytes);
    const done = await at.run({ from });
    expect([done.sha256, sha256(await readFile(at.options.file))]).toEqual(Array(2).fill(sha256(long)));
    expect(at.ranges()[1]).toBeUndefined();
    expect(at.checkpoints[0]).toEqual({ bytes: 0, count: 0 });
  });

  it('is taken back before a file is begun anew for another reason', async () => {
    const whole = { content: long, etag: '"a"' };
    const other = served({ content, etag: '"b"' });
    const at = await prepare(inTurn(served({ ...whole, cutAt: 5 * MB }), other), { checkpointBytes: 2 * MB });
    const done = await at.run();
    expect(done.sha256).toBe(sha256(content));
    const told = at.checkpoints.map(({ bytes, etag }) => [bytes > 0, etag]);
    expect(told).toEqual([
      [true, '"a"'],
      [true, '"a"'],
      [false, undefined],
      [true, '"b"'],
    ]);
  });
});

describe('an abort', () => {
  it('before the start touches nothing', async () => {
    const at = await prepare(served({ content }));
    const reason = new RoundsError('INTERRUPTED', 'stop');
    expect(await rejection(at.run({ signal: AbortSignal.abort(reason) }))).toBe(reason);
    expect(at.server.requests).toEqual([]);
  });

  it('while the server stalls ends the download with the reason, and leaves the file', async () => {
    const controller = new AbortController();
    const reason = new RoundsError('INTERRUPTED', 'stop');
    const at = await prepare((response) => {
      response.write(content.subarray(0, MB), () => controller.abort(reason));
    });
    const { signal } = controller;
    const stopped = at.run({ signal, open: openAt(`${at.server.origin}/file`, { signal }) });
    expect(await rejection(stopped)).toBe(reason);
    expect(existsSync(at.options.file)).toBe(true);
  });
});
