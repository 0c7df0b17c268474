import { RoundsError } from '../../errors.ts';
import { byteSize } from '../../report/format.ts';
import type { Answer } from '../exchange.ts';
import { html, type Html } from '../html.ts';
import { withCode } from '../withCode.ts';
import { indentJson } from './indentJson.ts';

/** One operation as it was asked, and what came of it. */
export interface Tried {
  readonly method: string;
  readonly path: string;
  readonly origin: string;
  readonly tookMs: number;
  readonly outcome: Answer | RoundsError;
}

/** More of an answer is no reading any more. */
const MAX_SHOWN = 300_000;

/** Request, status, time, headers and body; the request as a command for a terminal, too. */
export async function resultOf(tried: Tried): Promise<Html> {
  const { method, path, tookMs, outcome } = tried;
  return html`<section class="sheet" aria-labelledby="result">
    <h2 id="result">Answer</h2>
    <p><code>${method} ${path}</code></p>
    ${outcome instanceof RoundsError ? refusalOf(outcome, tookMs) : await answerOf(outcome, tookMs)}
    <h3 id="curl">As a command</h3>
    ${copied('curl-text', 'the command', curlOf(tried))}
    <p class="muted">
      It goes by the session of a link of its own:
      <code>curl --cookie-jar rounds.cookies "LINK"</code> with what
      <code>fhir-rounds console --link</code> prints.
    </p>
  </section>`;
}

function refusalOf({ code, message, hint }: RoundsError, tookMs: number): Html {
  return html`<p class="note bad" role="status">
      <strong>Refused</strong> <code>${code}</code> after ${Math.round(tookMs)} ms
    </p>
    <p>${message}</p>
    <p>${withCode(hint)}</p>`;
}

async function answerOf(answer: Answer, tookMs: number): Promise<Html> {
  const { status, contentType, headers = {} } = answer;
  const body = await textOf(answer.body);
  const shown = indentJson(body, MAX_SHOWN);
  const { 'x-rounds-hint': hint, ...others } = headers;
  const lines = [
    ...(contentType === undefined ? [] : [['content-type', contentType] as const]),
    ...Object.entries(others),
  ];
  return html`<p class="note ${status < 400 ? '' : 'bad'}" role="status">
      <strong>${status}</strong> after ${Math.round(tookMs)} ms, ${byteSize(Buffer.byteLength(body))}
    </p>
    ${hint !== undefined && html`<p class="note warn">${hint}</p>`}
    <h3>Headers</h3>
    <dl class="facts wide">
      ${lines.map(
        ([name, value]) =>
          html`<dt>${name}</dt>
            <dd>${value}</dd>`,
      )}
    </dl>
    <h3>Body</h3>
    ${copied('body-text', 'the body', shown.text)}
    ${!shown.isWhole && html`<p class="muted">The rest is not shown; a command has all of it.</p>`}`;
}

/** A text to be taken along (`what`: `the body`); the button works by script and is not there without. */
export function copied(name: string, what: string, text: string): Html {
  return html`<div class="copied">
    <button type="button" class="quiet" data-copy="${name}" hidden>Copy ${what}</button>
    <pre id="${name}" tabindex="0" role="region" aria-label="Text of ${what}"><code>${text}</code></pre>
  </div>`;
}

async function textOf(body: Answer['body']): Promise<string> {
  if (body === undefined) return '';
  if (typeof body === 'string') return body;
  if (body instanceof Uint8Array) return Buffer.from(body).toString('utf8');
  let text = '';
  for await (const chunk of body)
    text += typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString('utf8');
  return text;
}

function curlOf({ method, path, origin }: Tried): string {
  const parts = ['curl', '--cookie rounds.cookies'];
  if (method !== 'GET') {
    parts.push(`--request ${method}`, `--header ${quoted(`Origin: ${origin}`)}`);
    parts.push('--header "X-CSRF-Token: $TOKEN"');
  }
  return [...parts, quoted(`${origin}${path}`)].join(' ');
}

/** For a POSIX shell. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
