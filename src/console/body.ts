import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import { RoundsError } from '../errors.ts';

/** A form or a JSON text of more is none that a page of ours sends. */
const MAX_BYTES = 1024 * 1024;
const FORM = 'application/x-www-form-urlencoded';

/** The body of a request, read once however often it is asked for. */
export class RequestBody {
  readonly #message: IncomingMessage;
  #text: Promise<string> | undefined;

  constructor(message: IncomingMessage) {
    this.#message = message;
  }

  get isForm(): boolean {
    return (this.#message.headers['content-type'] ?? '').split(';')[0]!.trim().toLowerCase() === FORM;
  }

  /** Throws CONSOLE_ASK_INVALID for a body that is no form, or too large. */
  async form(): Promise<URLSearchParams> {
    if (!this.isForm) throw new RoundsError('CONSOLE_ASK_INVALID', `the body has to be a form (${FORM})`);
    return new URLSearchParams(await this.text());
  }

  /** Throws CONSOLE_ASK_INVALID for a body that is no JSON, or too large. An empty body is an empty object. */
  async json(): Promise<unknown> {
    const text = await this.text();
    try {
      return text.trim() === '' ? {} : JSON.parse(text);
    } catch {
      throw new RoundsError('CONSOLE_ASK_INVALID', 'the body is no JSON');
    }
  }

  text(): Promise<string> {
    this.#text ??= this.#read();
    return this.#text;
  }

  async #read(): Promise<string> {
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of chunksOf(this.#message)) {
      bytes += chunk.length;
      if (bytes > MAX_BYTES) {
        throw new RoundsError('CONSOLE_ASK_INVALID', `the body has more than ${MAX_BYTES} bytes`);
      }
      chunks.push(chunk);
    }
    return Buffer.concat(chunks).toString('utf8');
  }
}

/** A body as it comes. Who stops in the middle still has the connection for an answer that says why. */
export function chunksOf(body: Readable): AsyncIterable<Buffer> {
  return body.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>;
}
