import { randomBytes } from 'node:crypto';
import { verifyAssertion } from './assertion.ts';
import { clientKeys, type RegisteredClient } from './clientKeys.ts';
import { narrowScopes } from './scopes.ts';

/** A token that was given out. */
export interface GrantedToken {
  readonly clientId: string;
  readonly scope: string;
  readonly expiresAtMs: number;
}

export interface TokenAnswer {
  readonly status: number;
  readonly body: string;
  /** Why it was refused: for the log of requests, never for the client. */
  readonly reason?: string;
}

export interface TokenChanges {
  readonly tokenLifeSeconds?: number;
  readonly dropScope?: string;
}

export interface AuthorizationServer {
  register(client: RegisteredClient): void;
  /** Answers a token request: the form's text and its content type. */
  token(form: string, contentType: string | undefined, changes: TokenChanges): Promise<TokenAnswer>;
  /** The grant behind an Authorization header; undefined when absent, unknown or expired. */
  grantOf(authorization: string | undefined): GrantedToken | undefined;
}

export interface OAuthOptions {
  readonly tokenEndpoint: string;
  readonly tokenLifeSeconds: number;
  now(): number;
}

const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
/** Tokens and replay marks kept at most; the oldest go first. */
const KEPT = 100_000;

/** About 1.5 kB that look like a JWT and are not one: Epic's tokens may be long, and mean nothing to a client. */
function newToken(): string {
  return [60, 820, 256].map((bytes) => randomBytes(bytes).toString('base64url')).join('.');
}

function forget<V>(map: Map<string, V>, isOver: (value: V) => boolean): void {
  for (const [key, value] of map) {
    if (map.size <= KEPT && !isOver(value)) return;
    map.delete(key);
  }
}

/** Epic's token endpoint: client credentials with a signed assertion, and nothing else. */
export function authorizationServer(options: OAuthOptions): AuthorizationServer {
  const clients = new Map<string, RegisteredClient>();
  const keys = clientKeys();
  const tokens = new Map<string, GrantedToken>();
  const usedJti = new Map<string, number>();

  const fail = (error: string, reason: string): TokenAnswer => ({
    status: 400,
    body: JSON.stringify({ error, error_description: null }),
    reason,
  });

  return {
    register(client) {
      clients.set(client.clientId, client);
    },
    async token(form, contentType, changes) {
      const nowMs = options.now();
      if (!/^application\/x-www-form-urlencoded\s*(;|$)/i.test(contentType ?? '')) {
        return fail('invalid_request', 'content type is not a form');
      }
      const fields = new URLSearchParams(form);
      for (const name of fields.keys()) {
        if (fields.getAll(name).length > 1) return fail('invalid_request', `${name} is given twice`);
      }
      if (fields.get('grant_type') !== 'client_credentials') {
        return fail('unsupported_grant_type', 'grant_type is not client_credentials');
      }
      if (fields.get('client_assertion_type') !== ASSERTION_TYPE) {
        return fail('invalid_client', 'client_assertion_type is wrong');
      }
      const verdict = await verifyAssertion(fields.get('client_assertion') ?? '', {
        tokenEndpoint: options.tokenEndpoint,
        nowMs,
        client: (clientId) => clients.get(clientId),
        keys,
        useOnce(clientId, jti, untilMs) {
          forget(usedJti, (until) => until <= nowMs);
          const mark = `${clientId} ${jti}`;
          if ((usedJti.get(mark) ?? 0) > nowMs) return false;
          usedJti.set(mark, untilMs);
          return true;
        },
      });
      if (verdict.kind === 'refused') return fail('invalid_client', verdict.reason);
      const { client } = verdict;
      const registered = client.scopes ?? 'system/*.read';
      const scope = narrowScopes(fields.get('scope') ?? undefined, registered)
        .split(' ')
        .filter((word) => word !== '' && word !== changes.dropScope)
        .join(' ');
      if (scope === '') return fail('invalid_scope', 'no requested scope is registered');
      const life = changes.tokenLifeSeconds ?? options.tokenLifeSeconds;
      const token = newToken();
      forget(tokens, (grant) => grant.expiresAtMs <= nowMs);
      tokens.set(token, { clientId: client.clientId, scope, expiresAtMs: nowMs + life * 1000 });
      return {
        status: 200,
        body: JSON.stringify({ access_token: token, token_type: 'bearer', expires_in: life, scope }),
      };
    },
    grantOf(authorization) {
      const [, token] = /^Bearer ([A-Za-z0-9._~+/=-]+)$/i.exec(authorization ?? '') ?? [];
      const grant = token === undefined ? undefined : tokens.get(token);
      return grant && grant.expiresAtMs > options.now() ? grant : undefined;
    },
  };
}
