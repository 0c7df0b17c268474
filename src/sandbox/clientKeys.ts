import { createPublicKey, X509Certificate, type KeyObject } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { get } from 'node:http';

/** A backend application as registered with the sandbox. */
export interface RegisteredClient {
  readonly clientId: string;
  /** Public keys given inline. */
  readonly jwks?: { readonly keys: readonly object[] };
  /** A JWKS file, read again for every assertion. */
  readonly jwksFile?: string;
  /** A JWKS URL on a loopback address; kept like Epic does, and fetched again for an unknown kid. */
  readonly jwksUrl?: string;
  /** An uploaded X.509 certificate or public key (PEM); a kid need not match. */
  readonly certificatePem?: string;
  /** What the registration grants. Default `system/*.read`. */
  readonly scopes?: string;
}

/** A public key that may have signed an assertion. */
export interface CandidateKey {
  readonly key: KeyObject;
  readonly kid: string | undefined;
  readonly alg: string | undefined;
  /** It came from a key set, so EC algorithms are allowed. */
  readonly fromJwks: boolean;
}

const isLoopback = (hostname: string) =>
  hostname === 'localhost' || hostname === '[::1]' || /^127\./.test(hostname);

function fetchText(url: string): Promise<string> {
  const parsed = new URL(url);
  if (parsed.protocol !== 'http:' || !isLoopback(parsed.hostname)) {
    return Promise.reject(new Error('a JWKS URL of the sandbox must be http on a loopback address'));
  }
  return new Promise((resolve, reject) => {
    const request = get(parsed, { timeout: 5_000 }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        if (response.statusCode === 200) resolve(Buffer.concat(chunks).toString('utf8'));
        else reject(new Error(`the JWKS URL answered ${response.statusCode ?? 0}`));
      });
    });
    request.on('timeout', () => request.destroy(new Error('the JWKS URL did not answer')));
    request.on('error', reject);
  });
}

function keysOf(set: unknown): CandidateKey[] {
  const keys = (set as { keys?: unknown } | null)?.keys;
  if (!Array.isArray(keys)) return [];
  return keys.flatMap((jwk: Record<string, unknown>): CandidateKey[] => {
    const operations = jwk['key_ops'];
    if (jwk['use'] !== undefined && jwk['use'] !== 'sig') return [];
    if (Array.isArray(operations) && !operations.includes('verify')) return [];
    // A set that is served must not hold private keys: such a key is never accepted.
    if ('d' in jwk) return [];
    try {
      const key = createPublicKey({ key: jwk, format: 'jwk' });
      const text = (name: string) => (typeof jwk[name] === 'string' ? jwk[name] : undefined);
      return [{ key, kid: text('kid'), alg: text('alg'), fromJwks: true }];
    } catch {
      return [];
    }
  });
}

function keyOfPem(pem: string): KeyObject {
  return pem.includes('BEGIN CERTIFICATE') ? new X509Certificate(pem).publicKey : createPublicKey(pem);
}

/** The keys of registered clients, with Epic's caching of JWKS URLs. */
export interface ClientKeys {
  /** Candidate keys for a kid. A key set that cannot be had counts as empty. */
  candidates(client: RegisteredClient, kid: string | undefined): Promise<readonly CandidateKey[]>;
}

export function clientKeys(): ClientKeys {
  const cached = new Map<string, readonly CandidateKey[]>();

  async function fromUrl(url: string, kid: string | undefined): Promise<readonly CandidateKey[]> {
    const known = cached.get(url);
    // Epic keeps a key set for up to 29 h; an unknown kid makes it look again.
    if (known && kid !== undefined && known.some((key) => key.kid === kid)) return known;
    if (known && kid === undefined) return known;
    try {
      const keys = keysOf(JSON.parse(await fetchText(url)));
      cached.set(url, keys);
      return keys;
    } catch {
      return known ?? [];
    }
  }

  return {
    async candidates(client, kid) {
      const sets: CandidateKey[] = [];
      if (client.jwks) sets.push(...keysOf(client.jwks));
      if (client.jwksFile !== undefined) {
        try {
          sets.push(...keysOf(JSON.parse(await readFile(client.jwksFile, 'utf8'))));
        } catch {
          // A file that is being replaced or is no JSON is like a JWKS host that is down.
        }
      }
      if (client.jwksUrl !== undefined) sets.push(...(await fromUrl(client.jwksUrl, kid)));
      const matching = sets.filter((key) => kid === undefined || key.kid === undefined || key.kid === kid);
      if (client.certificatePem !== undefined) {
        matching.push({
          key: keyOfPem(client.certificatePem),
          kid: undefined,
          alg: undefined,
          fromJwks: false,
        });
      }
      return matching;
    },
  };
}
