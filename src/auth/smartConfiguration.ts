import { RoundsError, type FailureClass } from '../errors.ts';
import type { Http, HttpResponse } from '../system/http.ts';
import { isInternalHost } from '../system/addresses.ts';
import { endpointProblem } from './endpoint.ts';

export interface DiscoveryOptions {
  /** [epic_settings] epic_endpoint; a final slash does not matter. */
  readonly fhirBase: string;
  readonly http: Http;
  readonly signal?: AbortSignal | undefined;
}

export interface SmartConfiguration {
  readonly tokenEndpoint: string;
  /** Algorithms that the server says it verifies, where it says so. */
  readonly algorithms: readonly string[] | undefined;
  /** Scopes that the server says it knows, where it says so. */
  readonly scopes: readonly string[] | undefined;
}

const TIMEOUT_MS = 30_000;
const MAX_BYTES = 1024 * 1024;

/**
 * Asks `<base>/.well-known/smart-configuration` for the token endpoint. No token is sent; may be repeated.
 * Source: SMART App Launch 2.2, "Using .well-known".
 * Throws SMART_DISCOVERY_FAILED, saying what was wrong (of class transient for 429 and 5xx), and what `Http` throws.
 */
export async function discoverTokenEndpoint(options: DiscoveryOptions): Promise<SmartConfiguration> {
  const { fhirBase, http, signal } = options;
  const answer = await http.request({
    method: 'GET',
    url: `${fhirBase.replace(/\/+$/, '')}/.well-known/smart-configuration`,
    headers: { accept: 'application/json' },
    timeoutMs: TIMEOUT_MS,
    maxBytes: MAX_BYTES,
    ...(signal === undefined ? {} : { signal }),
  });
  const { status } = answer;
  if (status >= 300 && status < 400) throw failed('the server redirects instead of answering', answer);
  if (status !== 200) {
    throw failed(
      `the server answered ${status}`,
      answer,
      status === 429 || status >= 500 ? 'transient' : 'config',
    );
  }
  const document = parseObject(answer);
  const tokenEndpoint = document['token_endpoint'];
  if (typeof tokenEndpoint !== 'string') throw failed('the answer has no token_endpoint', answer);
  const problem = endpointProblem(tokenEndpoint) ?? awayProblem(tokenEndpoint, fhirBase);
  if (problem !== undefined) throw failed(`the token_endpoint will not do: ${problem}`, answer);
  return {
    tokenEndpoint,
    algorithms: strings(document['token_endpoint_auth_signing_alg_values_supported']),
    scopes: strings(document['scopes_supported']),
  };
}

/** A server out there has no reason to send us to an address in here. */
function awayProblem(tokenEndpoint: string, fhirBase: string): string | undefined {
  const isAway =
    isInternalHost(new URL(tokenEndpoint).hostname) && !isInternalHost(new URL(fhirBase).hostname);
  return isAway ? 'it is an address of the local network' : undefined;
}

function parseObject(answer: HttpResponse): Readonly<Record<string, unknown>> {
  try {
    const parsed: unknown = JSON.parse(answer.body.toString('utf8'));
    if (typeof parsed === 'object' && parsed !== null) return parsed as Record<string, unknown>;
  } catch {
    // Said below: JSON.parse's own message quotes foreign text.
  }
  throw failed('the answer is not a JSON object', answer);
}

function strings(value: unknown): readonly string[] | undefined {
  return Array.isArray(value) && value.every((one) => typeof one === 'string') ? value : undefined;
}

function failed(what: string, { status }: HttpResponse, failure: FailureClass = 'config'): RoundsError {
  return new RoundsError('SMART_DISCOVERY_FAILED', `SMART discovery: ${what}`, { status, failure });
}
