import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream';
import { createGzip } from 'node:zlib';
import type { Answer, Exchange } from '../exchange.ts';
import type { FaultAction } from '../faults.ts';
import { loginAnswer } from '../fhirHandlers.ts';
import { gzipEtag } from '../transport.ts';
import type { ExportFile } from './exportFiles.ts';
import type { ExportJob } from './exports.ts';
import { spoiledText } from './fileText.ts';
import { accepts, refusal, type BulkContext } from './kickoffAnswer.ts';

const NDJSON = 'application/fhir+ndjson';
const READ_BYTES = 256 * 1024;

/** Bytes from `from` up to, not including, `to`. */
interface ByteSpan {
  readonly from: number;
  readonly to: number;
}

/** What a `Range` asks of a body (RFC 9110, section 14): a part, what is not there, or (undefined) the whole. */
function rangeOf(exchange: Exchange, length: number, etag: string): ByteSpan | 'not-there' | undefined {
  // Of several ranges at once this server gives the whole, as it may.
  const [, first = '', last = ''] = /^bytes=(\d*)-(\d*)$/.exec(exchange.header('range') ?? '') ?? [];
  const condition = exchange.header('if-range');
  if ((first === '' && last === '') || (condition !== undefined && condition !== etag)) return undefined;
  if (first === '') {
    return Number(last) === 0 ? 'not-there' : { from: Math.max(0, length - Number(last)), to: length };
  }
  const from = Number(first);
  const to = last === '' ? length : Math.min(length, Number(last) + 1);
  if (last !== '' && Number(last) < from) return undefined;
  return from >= length ? 'not-there' : { from, to };
}

/** Why a file may not be had now. Undefined: it may. */
function refusedFile(bulk: BulkContext, exchange: Exchange, job: ExportJob, set: string): Answer | undefined {
  const { settings, now } = bulk;
  if (String(settings.requiresAccessToken) === 'true') {
    if (!exchange.grant) return loginAnswer(exchange);
    if (exchange.grant.clientId !== job.clientId) return refusal(403, 'The file is another client’s.');
  } else if (exchange.header('authorization') !== undefined) {
    // A client shall not send a token where none is required (3.0.0, "Bulk Data Output File Request").
    return refusal(400, 'A token was sent where requiresAccessToken is false.');
  }
  if (
    exchange.header('accept') !== undefined &&
    !accepts(exchange, NDJSON, 'application/ndjson', 'application/*', '*/*')
  ) {
    return refusal(406, 'The file is application/fhir+ndjson.');
  }
  const issuedAtMs = job.issuedAtMs.get(set);
  if (issuedAtMs === undefined) return refusal(404, 'There is no such file.', { code: 'not-found' });
  const life = settings.urlLifeSeconds ?? Infinity;
  return now() - issuedAtMs >= life * 1000
    ? refusal(410, 'The URL has expired.', { code: 'expired' })
    : undefined;
}

/** A whole file or a part of it, from disk, compressed where that is asked for. */
function streamed(exchange: Exchange, file: ExportFile, part: ByteSpan | undefined, headers: object): Answer {
  const { from, to } = part ?? { from: 0, to: file.bytes };
  const source = createReadStream(file.path, { start: from, end: to - 1, highWaterMark: READ_BYTES });
  const wantsGzip = /\bgzip\b(?!\s*;\s*q=0(?:\.0*)?(?:,|$))/i.test(exchange.header('accept-encoding') ?? '');
  if (part || !wantsGzip) {
    return {
      status: part ? 206 : 200,
      contentType: NDJSON,
      body: source as AsyncIterable<Uint8Array>,
      headers: { ...headers, 'Content-Length': String(to - from) },
    };
  }
  const gzip = createGzip({ level: 1 });
  // An error of the source reaches the reader through the gzip stream.
  pipeline(source, gzip, () => {});
  return {
    status: 200,
    contentType: NDJSON,
    body: gzip as AsyncIterable<Uint8Array>,
    headers: {
      ...headers,
      'Content-Encoding': 'gzip',
      Vary: 'Accept-Encoding',
      ETag: gzipEtag(file.etag),
    },
  };
}

/** Answers the download of a file (3.0.0, "Bulk Data Output File Request"). */
export async function fileAnswer(
  bulk: BulkContext,
  exchange: Exchange,
  exportId: string,
  set: string,
  number: number,
  fault: FaultAction | undefined,
): Promise<Answer> {
  const job = bulk.exports.find(exportId);
  const file = job?.files?.[number - 1];
  if (!job?.files || !file) return refusal(404, 'There is no such file.', { code: 'not-found' });
  const refused = refusedFile(bulk, exchange, job, set);
  if (refused) return refused;
  if (fault && 'toOtherOrigin' in fault) {
    const location = `${bulk.origin(true)}${exchange.path}`;
    return {
      status: 302,
      contentType: 'text/plain',
      body: Buffer.alloc(0),
      headers: { Location: location },
    };
  }
  const etag = fault && 'etagChanged' in fault ? file.etag.replace(/"$/, '-anew"') : file.etag;
  // Small ones in one piece: they are over, and in the log, when the client has them.
  const isWhole = fault !== undefined || file.bytes <= READ_BYTES;
  const text = isWhole ? await spoiledText(file, job.files, fault) : undefined;
  const length = text?.length ?? file.bytes;
  const fuss = fault && 'range' in fault ? fault.range : undefined;
  const asked = fuss === 'ignored' ? undefined : rangeOf(exchange, length, etag);
  if (asked === 'not-there' || (asked && fuss === 'refused')) {
    const answer = refusal(416, 'The range is not there.');
    return { ...answer, headers: { 'Content-Range': `bytes */${length}` } };
  }
  const shift = fuss === 'wrong' ? 10 : 0;
  const part = asked && { from: Math.min(asked.from + shift, length - 1), to: asked.to };
  const headers: Record<string, string> = {
    ETag: etag,
    'Accept-Ranges': 'bytes',
    ...(part ? { 'Content-Range': `bytes ${part.from}-${part.to - 1}/${length}` } : {}),
  };
  if (!text) return streamed(exchange, file, part, headers);
  const body = part ? text.subarray(part.from, part.to) : text;
  return { status: part ? 206 : 200, contentType: NDJSON, body, headers };
}
