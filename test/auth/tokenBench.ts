import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { AccessTokenSource, type AccessTokenOptions } from '../../src/auth/accessToken.ts';
import { keyThumbprint, type SigningKey } from '../../src/auth/keys.ts';
import { createHttp } from '../../src/system/http.ts';
import {
  createTestClock,
  createTestLog,
  startTokenServer,
  type TestClock,
  type TestLog,
  type TokenServer,
} from './support.ts';

/** A token server, a clock and a log, and sources of tokens that use them. */
export interface TokenBench {
  readonly server: TokenServer;
  readonly clock: TestClock;
  readonly log: TestLog;
  readonly source: (options?: Partial<AccessTokenOptions>) => AccessTokenSource;
  close(): Promise<void>;
}

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-384' });

export async function openTokenBench(): Promise<TokenBench> {
  const server = await startTokenServer(privateKey);
  const http = createHttp({ timeoutMs: 5000 });
  const clock = createTestClock();
  const log = createTestLog();
  const open: AccessTokenSource[] = [];
  return {
    server,
    clock,
    log,
    source: (options = {}) => {
      const made = new AccessTokenSource({
        http,
        clock,
        log,
        random: () => 0.5,
        key: signingKeyOf(privateKey),
        clientId: 'client-1',
        tokenEndpoint: server.tokenEndpoint,
        scope: 'system/*.read',
        ...options,
      });
      open.push(made);
      return made;
    },
    close: async () => {
      for (const source of open) await source.close();
      await http.close();
      await server.close();
    },
  };
}

export function signingKeyOf(key: KeyObject): SigningKey {
  return {
    privateKey: key,
    algorithm: 'ES384',
    keyId: undefined,
    thumbprint: keyThumbprint(key),
    warnings: [],
  };
}
