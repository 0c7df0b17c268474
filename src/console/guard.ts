import type { IncomingMessage } from 'node:http';
import { RoundsError } from '../errors.ts';

/**
 * Who may talk to the console at all: a browser that has one of our own pages before it. Against DNS rebinding (another
 * name for this address), other pages that send requests here, and frames.
 */

/** Where the console is, as browsers name it. */
export interface Address {
  /** `http://127.0.0.1:8787`: what Origin has to be. */
  readonly origin: string;
  /** `127.0.0.1:8787`: what Host has to be. */
  readonly host: string;
}

/** Throws CONSOLE_REFUSED unless the request came by this console's own name, and from its own pages. */
export function demandOwnPage(
  { method, headers }: Pick<IncomingMessage, 'method' | 'headers'>,
  { origin, host }: Address,
  isOpen: boolean,
): void {
  if (headers.host?.toLowerCase() !== host) {
    throw refused(`this console answers to the name ${host} only`, `Open ${origin}/ instead.`);
  }
  // Fetch metadata: sent by every current browser, absent from curl. `none`: typed, or a link of a terminal or mail.
  const site = headers['sec-fetch-site'];
  if (!isOpen && site !== undefined && site !== 'same-origin' && site !== 'none') {
    throw refused('another page sent this request', `Open ${origin}/ yourself.`);
  }
  if (method !== 'GET' && method !== 'HEAD' && headers.origin !== origin) {
    throw refused(
      'what changes something has to come from a page of this console',
      `Send \`Origin: ${origin}\`.`,
    );
  }
}

function refused(what: string, hint: string): RoundsError {
  return new RoundsError('CONSOLE_REFUSED', what, { hint });
}

/**
 * Whether somebody did something, as far as a browser says: a page that loads itself anew (`Refresh`, or by its script)
 * keeps no session alive. Fetch metadata, Sec-Fetch-User: absent from navigations that nobody clicked for.
 */
export function isByPerson({ headers }: Pick<IncomingMessage, 'headers'>): boolean {
  return headers['sec-fetch-mode'] !== 'navigate' || headers['sec-fetch-user'] === '?1';
}

/** What a page of ours may do: load our own styles, scripts and pictures, talk to us, and nothing else. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "form-action 'self'",
  "frame-src 'self'",
  "frame-ancestors 'none'",
  "base-uri 'none'",
].join('; ');

/** Of every answer; a route may replace one. What stands on a page may be PHI, so nothing is stored anywhere. */
export function safeHeaders({ origin }: Address): Readonly<Record<string, string>> {
  return {
    'cache-control': 'no-store',
    'content-security-policy': CONTENT_SECURITY_POLICY,
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-resource-policy': 'same-origin',
    'permissions-policy': 'camera=(), geolocation=(), microphone=(), payment=(), usb=()',
    // With `no-referrer` a form would be sent with `Origin: null`.
    'referrer-policy': 'same-origin',
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
    ...(origin.startsWith('https:') ? { 'strict-transport-security': 'max-age=31536000' } : {}),
  };
}

/** Session cookies by name and attributes: over TLS with the prefix that no other host can set. */
function cookieName({ origin }: Address): string {
  return origin.startsWith('https:') ? '__Host-fhir-rounds' : 'fhir-rounds';
}

/** `value` undefined: the browser forgets it. */
export function sessionCookie(address: Address, value: string | undefined): string {
  const secure = address.origin.startsWith('https:') ? '; Secure' : '';
  const gone = value === undefined ? '; Max-Age=0' : '';
  return `${cookieName(address)}=${value ?? ''}; Path=/; HttpOnly; SameSite=Strict${secure}${gone}`;
}

/** The session cookie's value; undefined where there is none, or more than one. */
export function readCookie(header: string | undefined, address: Address): string | undefined {
  const wanted = `${cookieName(address)}=`;
  const found = (header ?? '').split(/; */).filter((pair) => pair.startsWith(wanted));
  return found.length === 1 ? found[0]!.slice(wanted.length) : undefined;
}
