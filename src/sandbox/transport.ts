import type { ServerResponse } from 'node:http';
import { promisify } from 'node:util';
import { gzip as gzipCallback, gzipSync } from 'node:zlib';
import { FHIR_JSON, type Answer } from './exchange.ts';
import type { FaultAction, RetryAfter } from './faults.ts';
import { issueOf, outcomeText } from './outcomes.ts';

const gzip = promisify(gzipCallback);
/** Smaller bodies are not worth compressing. */
const GZIP_FROM_BYTES = 1024;
const MEGABYTE = 1024 * 1024;

/** The header's text. */
export function retryAfterText(value: RetryAfter, nowMs: number): string {
  if (typeof value !== 'object') return String(value);
  if ('epochInSeconds' in value) return String(Math.floor(nowMs / 1000) + value.epochInSeconds);
  return new Date(nowMs + value.httpDateInSeconds * 1000).toUTCString();
}

/** The answer of a fault that needs no handler; undefined when the handler has to answer. */
export function answerOfFault(fault: FaultAction, nowMs: number): Answer | undefined {
  if ('status' in fault) {
    const issue = fault.outcome === undefined ? undefined : issueOf(fault.outcome);
    const outcome = issue && outcomeText([{ ...issue, code: fault.issueCode ?? issue.code }]);
    return {
      status: fault.status,
      contentType: outcome ? FHIR_JSON : 'text/plain; charset=utf-8',
      body: outcome ?? Buffer.from(fault.body ?? ''),
      headers: {
        ...(fault.retryAfter === undefined ? {} : { 'Retry-After': retryAfterText(fault.retryAfter, nowMs) }),
        ...fault.headers,
      },
    };
  }
  if ('html' in fault) {
    const body =
      '<!DOCTYPE html><html><head><title>Sign in</title></head><body>Please sign in.</body></html>';
    return { status: 200, contentType: 'text/html; charset=utf-8', body: Buffer.from(body) };
  }
  if ('emptyBody' in fault) return { status: 200, contentType: FHIR_JSON, body: Buffer.alloc(0) };
  if ('onlyOutcome' in fault) {
    return { status: 200, contentType: FHIR_JSON, body: outcomeText([issueOf('40000')]) };
  }
  if ('redirectTo' in fault) {
    return {
      status: 302,
      contentType: 'text/plain',
      body: Buffer.alloc(0),
      headers: { Location: fault.redirectTo },
    };
  }
  return undefined;
}

/** The ETag of a body's gzip form. */
export const gzipEtag = (etag: string) => etag.replace(/"$/, '-gzip"');

/** Megabytes of blanks in a few kilobytes: one gzip member repeated, as RFC 1952 allows. */
function gzipBomb(megabytes: number): Buffer {
  const member = gzipSync(Buffer.alloc(MEGABYTE, ' '), { level: 9 });
  return Buffer.concat(Array.from({ length: Math.max(1, Math.ceil(megabytes)) }, () => member));
}

async function drip(response: ServerResponse, body: Buffer, bytesPerSecond: number): Promise<void> {
  const step = Math.max(1, Math.ceil(bytesPerSecond / 10));
  for (let at = 0; at < body.length && !response.destroyed; at += step) {
    response.write(body.subarray(at, at + step));
    await new Promise((resolve) => setTimeout(resolve, (step / bytesPerSecond) * 1000));
  }
  response.end();
}

/** Sends an answer: compressed where that is asked for, spoiled where a fault says so. */
export async function sendAnswer(
  response: ServerResponse,
  answer: Answer,
  acceptsGzip: boolean,
  fault: FaultAction | undefined,
): Promise<void> {
  const headers: Record<string, string> = { 'Content-Type': answer.contentType, ...answer.headers };
  if (fault && 'contentType' in fault) headers['Content-Type'] = fault.contentType;
  if (fault && 'addHeaders' in fault) Object.assign(headers, fault.addHeaders);
  if (!Buffer.isBuffer(answer.body)) {
    response.writeHead(answer.status, headers);
    for await (const chunk of answer.body) {
      if (response.destroyed) return;
      if (!response.write(chunk)) {
        await new Promise<void>((resolve) => {
          const goOn = () => {
            response.off('drain', goOn).off('close', goOn);
            resolve();
          };
          response.once('drain', goOn).once('close', goOn);
        });
      }
    }
    response.end();
    return;
  }
  let body = answer.body;
  if (fault && 'badJson' in fault) body = body.subarray(0, Math.floor(body.length * 0.6));
  if (fault && 'gzipBombMegabytes' in fault) {
    headers['Content-Encoding'] = 'gzip';
    body = gzipBomb(fault.gzipBombMegabytes);
  } else if (fault && 'gzipCut' in fault) {
    headers['Content-Encoding'] = 'gzip';
    const whole = await gzip(body, { level: 1 });
    body = whole.subarray(0, Math.floor(whole.length * 0.6));
  } else if (
    acceptsGzip &&
    body.length > GZIP_FROM_BYTES &&
    // A part is a part of the body as it is (RFC 9110, section 14.2).
    answer.status !== 206 &&
    !(fault && 'cutBodyAt' in fault)
  ) {
    headers['Content-Encoding'] = 'gzip';
    headers['Vary'] = 'Accept-Encoding';
    // Another form of it has another ETag (RFC 9110, section 8.8.3).
    if (headers['ETag'] !== undefined) headers['ETag'] = gzipEtag(headers['ETag']);
    body = await gzip(body, { level: 1 });
  }
  headers['Content-Length'] = String(body.length);
  if (response.destroyed) return;
  response.writeHead(answer.status, headers);
  if (fault && 'cutBodyAt' in fault) {
    const kept = fault.cutBodyAt <= 1 ? Math.floor(body.length * fault.cutBodyAt) : fault.cutBodyAt;
    // At least a byte is missing, or nothing would be cut.
    response.write(body.subarray(0, Math.min(kept, body.length - 1)), () => response.destroy());
    return;
  }
  if (fault && 'dripBytesPerSecond' in fault) {
    await drip(response, body, fault.dripBytesPerSecond);
    return;
  }
  response.end(body);
}
