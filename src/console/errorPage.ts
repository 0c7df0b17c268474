import type { RoundsError } from '../errors.ts';
import { codeWords } from '../report/format.ts';
import { htmlAnswer, jsonAnswer, type Answer, type Ask } from './exchange.ts';
import { html } from './html.ts';
import { page } from './page.ts';

/** What is not named here is our own fault. */
const STATUS: Readonly<Partial<Record<RoundsError['code'], number>>> = {
  CONSOLE_ASK_INVALID: 400,
  USAGE: 400,
  CONSOLE_REFUSED: 403,
  CONSOLE_NOT_FOUND: 404,
  RUN_UNKNOWN: 404,
  RUN_FOLDER_GONE: 410,
  LOCK_HELD: 409,
  CONSOLE_UNAVAILABLE: 503,
};

/** Of the gateway: what went wrong lies beyond this machine. */
const FROM_OUTSIDE = /^(NETWORK|TIMEOUT|TLS_|TOKEN_|HTTP_|FHIR_|SMART_|SERVER_)/;

/** Paths that programs call. */
const FOR_PROGRAMS = /^\/(api\/|fhir\/|auth\/|config\/|health$|jwks$|\.well-known\/)/;

/** Whether a program asks, which takes its errors as JSON. */
export function isForProgram(pathname: string, accept: string | undefined): boolean {
  return FOR_PROGRAMS.test(pathname) || accept === 'application/json';
}

/** HTTP status of an error. */
export function errorStatus({ code }: RoundsError): number {
  return STATUS[code] ?? (FROM_OUTSIDE.test(code) ? 502 : 500);
}

/** What went wrong, where, and what to do, for whoever asked. */
export function errorAnswer(error: RoundsError, asJson: boolean, ask: Pick<Ask, 'session'>): Answer {
  const { code, message, hint } = error;
  const status = errorStatus(error);
  if (asJson) return jsonAnswer({ error: { code, message, hint } }, status);
  const title = `${codeWords(code)}`;
  return htmlAnswer(
    page(ask, {
      title,
      place: undefined,
      main: html`<p class="lead">${message}</p>
        <p>${hint}</p>
        <p class="muted"><code>${code}</code></p>`,
    }),
    status,
  );
}

/** For who has no session, or had one for too long. */
export function loginAnswer(asJson: boolean): Answer {
  const hint =
    'Run `fhir-rounds console --link` on the machine of the console, and open the link that it prints.';
  if (asJson) {
    return jsonAnswer({ error: { code: 'CONSOLE_REFUSED', message: 'there is no session', hint } }, 401);
  }
  return htmlAnswer(
    page(
      { session: undefined },
      {
        title: 'Log in',
        place: undefined,
        main: html`<p class="lead">
            This console opens by a one-time link, and forgets who does nothing for a while.
          </p>
          <p>On the machine of the console:</p>
          <pre class="command"><code>fhir-rounds console --link</code></pre>
          <p>Then open the link that it prints.</p>`,
      },
    ),
    401,
  );
}
