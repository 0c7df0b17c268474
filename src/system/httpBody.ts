import { pipeline, type Readable } from 'node:stream';
import {
  brotliDecompressSync,
  createBrotliDecompress,
  createGunzip,
  createInflate,
  gunzipSync,
  inflateSync,
} from 'node:zlib';
import { RoundsError } from '../errors.ts';
import type { Deadline } from './httpDeadline.ts';
import { asBodyError } from './httpError.ts';

const CHUNK = { chunkSize: 64 * 1024 };
const decoders = {
  gzip: gunzipSync,
  'x-gzip': gunzipSync,
  deflate: inflateSync,
  br: brotliDecompressSync,
};

/**
 * A whole body, decompressed at once: handing a page of some kilobytes to another thread costs four times its work, and
 * a large one takes less time here than reading its JSON does. Throws BODY_CUT, BODY_TOO_LARGE.
 */
export function decompress(body: Buffer, encoding: string | undefined, maxBytes: number): Buffer {
  const coding = codingOf(encoding);
  if (coding === 'identity' || body.length === 0) return body;
  const decoder = decoders[coding];
  try {
    return decoder(body, { ...CHUNK, maxOutputLength: maxBytes });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') {
      throw new RoundsError('BODY_TOO_LARGE', `an answer exceeds ${maxBytes} bytes when decompressed`);
    }
    throw new RoundsError('BODY_CUT', 'an answer’s compressed body is damaged or cut short');
  }
}

/** Throws BODY_CUT for an encoding that was not asked for and cannot be undone. */
function codingOf(encoding: string | undefined): keyof typeof decoders | 'identity' {
  const name = encoding?.trim().toLowerCase() ?? '';
  if (name === '' || name === 'identity') return 'identity';
  if (name in decoders) return name as keyof typeof decoders;
  throw new RoundsError('BODY_CUT', 'an answer has an unknown content-encoding');
}

/** The body of an answer as undici hands it out. */
type ReceivedBody = Readable & AsyncIterable<Buffer>;

const streamDecoders = {
  gzip: () => createGunzip(CHUNK),
  'x-gzip': () => createGunzip(CHUNK),
  deflate: () => createInflate(CHUNK),
  br: () => createBrotliDecompress(CHUNK),
};

/**
 * A body that is read while it comes, with what it may throw as HttpStream says. The deadline, which
 * aborts the signal, is released when the body has ended, in whatever way, or is closed.
 */
export function streamBody(
  received: ReceivedBody,
  encoding: string | undefined,
  deadline: Deadline,
  signal: AbortSignal,
): { readonly body: AsyncIterable<Buffer>; close(): void } {
  // What ends a body that nobody reads is nobody's to hear.
  received.on('error', () => undefined);
  const close = (): void => {
    deadline.release();
    received.destroy();
  };
  async function* body(): AsyncGenerator<Buffer, void, undefined> {
    try {
      const coding = codingOf(encoding);
      const raw = timed(received, deadline);
      yield* coding === 'identity' ? raw : decoded(raw, coding);
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      throw asBodyError(error);
    } finally {
      close();
    }
  }
  return { body: body(), close };
}

/** Only the waits for the server count, never what the reader does between them. */
async function* timed(received: ReceivedBody, deadline: Deadline): AsyncGenerator<Buffer, void, undefined> {
  const chunks = received[Symbol.asyncIterator]();
  for (;;) {
    deadline.start();
    const next = await chunks.next();
    deadline.stop();
    if (next.done === true) return;
    yield next.value;
  }
}

async function* decoded(
  raw: AsyncGenerator<Buffer, void, undefined>,
  coding: keyof typeof streamDecoders,
): AsyncGenerator<Buffer, void, undefined> {
  const first = await raw.next();
  // No bytes at all are no damage: 416 and 204 are answered so.
  if (first.done === true) return;
  async function* all(): AsyncGenerator<Buffer, void, undefined> {
    yield first.value as Buffer;
    yield* raw;
  }
  // The reader of the decoder is told of every error; the callback has nothing to add.
  yield* pipeline(all(), streamDecoders[coding](), () => undefined) as AsyncIterable<Buffer>;
}
