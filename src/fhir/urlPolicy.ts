import { isIPv4 } from 'node:net';
import { RoundsError } from '../errors.ts';
import { isInternalHost } from '../system/addresses.ts';

/**
 * The one place that decides whether a URL may be requested, and whether it gets the access token. Servers name
 * URLs in next links, Content-Location, manifests and discovery documents; none of these is trusted.
 */

export interface UrlPolicyOptions {
  /** The configured FHIR base. */
  readonly fhirBase: string;
  /** The configured token endpoint; it may lie on another host than the base. */
  readonly tokenEndpoint?: string;
  /** Origins beside the FHIR base's where bulk files that ask for a token may lie. */
  readonly fileOrigins?: readonly string[];
}

/** Every method throws RoundsError URL_REFUSED; its message names an origin at most, never a path or a query. */
export interface UrlPolicy {
  /** The FHIR base without a slash at its end. */
  readonly base: string;
  /** The token endpoint as a checked URL; `undefined` where it is left to discovery (see `secureUrl`). */
  readonly tokenEndpoint: string | undefined;
  /** A next link: resolved against the URL it came from; same scheme, host and port as the base and under its path. */
  next(url: string, current: string): URL;
  /** Content-Location of a bulk kick-off and the like: same scheme, host and port as the base, any path (Epic's lies
   * outside of `/R4`, H). Resolved against `current`, else against the base. */
  sameOrigin(url: string, current?: string): URL;
  /**
   * A file of a bulk manifest. It gets the token only where the manifest requires it and its origin is the base's or
   * one of `fileOrigins`; without a token it may lie on any host, but by https, and at a private, link-local or loopback
   * address only where the base (for loopback), or the base or the token endpoint, has one too.
   */
  bulkFile(
    url: string,
    requiresAccessToken: boolean,
    current: string,
  ): { readonly url: URL; readonly withToken: boolean };
}

const MAX_URL_LENGTH = 65_536;
/** Anything that two URL parsers may read in two ways: control characters, blanks, backslashes. */
// eslint-disable-next-line no-control-regex -- these characters are what it looks for
const AMBIGUOUS = /[\u0000-\u0020\u007f-\u00a0\u2028\u2029\\]/;
/** Encoded slashes, backslashes, dots, percent signs and controls: decoded once more behind a proxy they move the path. */
const HIDDEN_IN_PATH = /%(?:2f|5c|2e|25|[01][0-9a-f]|7f)/i;
/** `/..;/` climbs at servers that take `;` for the begin of a parameter. */
const DOTS_WITH_PARAMETER = /(?:^|\/)\.{1,2};/;

/**
 * @throws RoundsError CONFIG_INVALID: the base or an endpoint is no https URL (http for loopback), or has user,
 * query or fragment.
 */
export function createUrlPolicy(options: UrlPolicyOptions): UrlPolicy {
  const base = configuredUrl(options.fhirBase, 'epic_endpoint');
  if (base.search !== '' || base.hash !== '') throw invalid('epic_endpoint', 'has a query or a fragment');
  const basePath = base.pathname.replace(/\/+$/, '');
  const baseText = base.origin + basePath;
  const tokenEndpoint =
    options.tokenEndpoint === undefined ? undefined : configuredUrl(options.tokenEndpoint, 'token_endpoint');
  const mayBeInternal = [base, tokenEndpoint].some((url) => url && isInternalHost(url.hostname));
  const fileOrigins = new Set(
    (options.fileOrigins ?? []).map((origin) => configuredUrl(origin, 'a bulk file origin').origin),
  );

  const sameOrigin = (url: string, current?: string): URL => {
    const target = resolve(url, current ?? `${baseText}/`);
    if (target.origin !== base.origin) throw refused(target, 'outside the FHIR server');
    return target;
  };
  return {
    base: baseText,
    tokenEndpoint: tokenEndpoint?.href,
    sameOrigin,
    next(url, current) {
      const target = sameOrigin(url, current);
      if (target.pathname !== basePath && !target.pathname.startsWith(`${basePath}/`)) {
        throw refused(target, 'outside the path of the FHIR base');
      }
      return target;
    },
    bulkFile(url, requiresAccessToken, current) {
      const target = resolve(url, current);
      const home = target.origin === base.origin;
      const allowed = home || fileOrigins.has(target.origin);
      if (!allowed && isLoopback(target.hostname) && !isLoopback(base.hostname)) {
        throw refused(target, 'on this machine');
      }
      if (!allowed && isInternalHost(target.hostname) && !mayBeInternal) {
        throw refused(target, 'at an address of the local network');
      }
      if (requiresAccessToken && !allowed) {
        throw refused(target, 'that wants the token and is not among the allowed origins');
      }
      return { url: target, withToken: requiresAccessToken };
    },
  };
}

/**
 * A URL that a person or a discovery document gave: absolute, https (http for loopback), no user, no tricks.
 * @throws RoundsError URL_REFUSED
 */
export function secureUrl(text: string): URL {
  return resolve(text, undefined);
}

/** 127.0.0.0/8, `::1` or `localhost`; `hostname` as the URL class gives it. */
export function isLoopback(hostname: string): boolean {
  return (
    hostname === 'localhost' || hostname === '[::1]' || (isIPv4(hostname) && hostname.startsWith('127.'))
  );
}

function resolve(text: string, current: string | undefined): URL {
  if (text === '' || text.length > MAX_URL_LENGTH) throw refusedText('an empty or endless URL');
  if (AMBIGUOUS.test(text)) throw refusedText('a URL with blanks, control characters or backslashes');
  const beforeQuery = /^[^?#]*/.exec(text)?.[0] ?? '';
  // eslint-disable-next-line no-control-regex -- whatever is not ASCII
  if (/[^\u0000-\u007f]/.test(beforeQuery)) throw refusedText('a URL with characters outside ASCII');

  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):(.*)$/.exec(beforeQuery);
  if (scheme) {
    if (!/^https?$/i.test(scheme[1]!)) throw refusedText('a URL that is neither http nor https');
    // `https:host`, `https:/host` and `https:///host` mean different things to different parsers.
    if (!/^\/\/[^/]/.test(scheme[2]!)) throw refusedText('a URL without a host');
  } else if (current === undefined) throw refusedText('a relative URL where an absolute one is needed');
  const authority = /^(?:[A-Za-z][A-Za-z0-9+.-]*:)?\/\/([^/]*)/.exec(beforeQuery)?.[1];
  if (authority?.includes('@')) throw refusedText('a URL with a user in it');
  if (authority?.includes('%')) throw refusedText('a URL with an encoded host');
  if (authority === '') throw refusedText('a URL without a host');
  // Also where the dot would vanish: the URL class takes `127.0.0.1.` for `127.0.0.1`.
  if (authority !== undefined && /\.(?::\d*)?$/.test(authority)) {
    throw refusedText('a URL whose host ends in a dot');
  }

  const path =
    authority === undefined
      ? beforeQuery
      : beforeQuery.slice(beforeQuery.indexOf('//') + 2 + authority.length);
  if (HIDDEN_IN_PATH.test(path) || DOTS_WITH_PARAMETER.test(path)) {
    throw refusedText('a URL with hidden dots or slashes in its path');
  }
  let url: URL;
  try {
    url = new URL(text, current);
  } catch {
    throw refusedText('a URL that cannot be read');
  }
  if (url.username !== '' || url.password !== '') throw refusedText('a URL with a user in it');
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && isLoopback(url.hostname))) {
    throw refused(url, 'without https');
  }
  url.hash = '';
  return url;
}

function configuredUrl(text: string, key: string): URL {
  try {
    return secureUrl(text);
  } catch (error) {
    const why =
      error instanceof RoundsError ? error.message.replace('the server named ', 'is ') : 'is no URL';
    throw invalid(key, why);
  }
}

function refused(url: URL, what: string): RoundsError {
  return new RoundsError('URL_REFUSED', `the server named a URL ${what} (${url.origin})`);
}

function refusedText(what: string): RoundsError {
  return new RoundsError('URL_REFUSED', `the server named ${what}`);
}

function invalid(key: string, why: string): RoundsError {
  return new RoundsError('CONFIG_INVALID', `${key} ${why}`, { problems: [{ where: key, what: why }] });
}
