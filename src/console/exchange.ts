import { Readable } from 'node:stream';
import { RoundsError } from '../errors.ts';
import type { Html } from './html.ts';
import type { Session } from './sessions.ts';

/** What a route is asked, once host, origin, session and CSRF token were found right. */
export interface Ask {
  readonly method: 'GET' | 'POST' | 'DELETE';
  readonly url: URL;
  /** The path's parameters, decoded. */
  readonly params: Readonly<Record<string, string>>;
  /** Of routes that are open to everybody it may be missing. */
  readonly session: Session | undefined;
  /** Aborted when who asked is gone, or the console stops. */
  readonly signal: AbortSignal;
  /** The body as it comes. */
  readonly body: Readable;
  /** The body as a form (application/x-www-form-urlencoded), of 1 MB at most. */
  readonly form: () => Promise<URLSearchParams>;
  /** The body as JSON, of 1 MB at most. */
  readonly json: () => Promise<unknown>;
}

/** What a route answers. Headers of safety (CSP, no-store ...) are the server's business. */
export interface Answer {
  readonly status: number;
  readonly contentType?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array | AsyncIterable<string | Uint8Array>;
}

/** One path of the console. */
export interface Route {
  readonly method: Ask['method'];
  /** `/runs/{runId}`: a parameter is one segment. */
  readonly path: string;
  /** Answers without a session: login, assets, public keys. */
  readonly open?: true;
  /** Asked for again and again by an open page: no line each in the audit file. */
  readonly quiet?: true;
  /** Whose record is shown, for the audit file: there it stands as a keyed hash. */
  readonly patientId?: (ask: Ask) => string | undefined;
  /** A rejection with a RoundsError is shown as a page (JSON below /api and /fhir), with its hint. */
  readonly answer: (ask: Ask) => Promise<Answer> | Answer;
}

export function htmlAnswer(body: Html, status = 200): Answer {
  return { status, contentType: 'text/html; charset=utf-8', body: `<!doctype html>\n${body.toString()}` };
}

export function jsonAnswer(value: unknown, status = 200): Answer {
  return { status, contentType: 'application/json; charset=utf-8', body: `${JSON.stringify(value)}\n` };
}

/** After a form was sent: the browser goes on to `href`, a path of this console. */
export function seeOther(href: string): Answer {
  return { status: 303, headers: { location: href } };
}

/** A file for the disk of who asked. `fileName` is reduced to what every file system takes. */
export function download(fileName: string, contentType: string, body: NonNullable<Answer['body']>): Answer {
  const safe = fileName.replace(/[^A-Za-z0-9._-]/g, '_').replace(/^\.+/, '_');
  return {
    status: 200,
    contentType,
    headers: { 'content-disposition': `attachment; filename="${safe}"` },
    body,
  };
}

/** Of an answer that is not sent: a file that it would have read is closed. */
export function discard({ body }: Answer): void {
  if (body instanceof Readable) body.destroy();
}

/** What a page needs is not there. */
export function notFound(what: string, hint?: string): RoundsError {
  return new RoundsError('CONSOLE_NOT_FOUND', what, hint === undefined ? {} : { hint });
}
