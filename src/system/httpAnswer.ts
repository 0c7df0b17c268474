import type { Dispatcher } from 'undici';
import { RoundsError } from '../errors.ts';
import { asBodyError, asTransportError } from './httpError.ts';

/** An answer as it came, its body still compressed. */
export interface WholeAnswer {
  readonly status: number;
  /** Names in lower case; a repeated header is joined by `, `. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** An answer on its way. */
export interface Gathering {
  /** Rejects with RoundsError as `Http` says, TIMEOUT by our own deadline aside. */
  readonly answer: Promise<WholeAnswer>;
  /** Lets the connection go. May come before there is one: then nothing is sent over it. */
  abort(): void;
}

/**
 * Sends a request and gathers its answer. By undici's dispatch, without a Readable and an AbortSignal between the socket
 * and the chunks: for answers of a few kilobytes they are half of the cost.
 */
export function gather(
  dispatcher: Dispatcher,
  request: Dispatcher.DispatchOptions,
  maxBytes: number,
): Gathering {
  const chunks: Buffer[] = [];
  let size = 0;
  let head: Pick<WholeAnswer, 'status' | 'headers'> | undefined;
  let controller: Dispatcher.DispatchController | undefined;
  let isAborted = false;
  const abort = (): void => {
    isAborted = true;
    controller?.abort(new Error('aborted'));
  };
  const answer = new Promise<WholeAnswer>((resolve, reject) => {
    dispatcher.dispatch(request, {
      onRequestStart(started) {
        controller = started;
        if (isAborted) abort();
      },
      onResponseStart(_, status, headers) {
        // 1xx are no answers yet.
        if (status >= 200) head = { status, headers: flatten(headers) };
      },
      onResponseData(_, chunk) {
        size += chunk.length;
        if (size <= maxBytes) return void chunks.push(chunk);
        reject(new RoundsError('BODY_TOO_LARGE', `an answer exceeds ${maxBytes} bytes`));
        abort();
      },
      onResponseEnd() {
        resolve({ ...head!, body: chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, size) });
      },
      onResponseError(_, error) {
        reject(head === undefined ? asTransportError(error) : asBodyError(error));
      },
    });
  });
  return { answer, abort };
}

/** Headers as undici hands them out, with names in lower case and a repeated one joined by `, `. */
export function flatten(
  headers: Readonly<Record<string, string | string[] | undefined>>,
): Record<string, string> {
  const flat: Record<string, string> = {};
  for (const name in headers) {
    const value = headers[name];
    if (value !== undefined) flat[name.toLowerCase()] = typeof value === 'string' ? value : value.join(', ');
  }
  return flat;
}
