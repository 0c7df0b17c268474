import { generateKeyPairSync } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { AccessTokenSource } from '../../src/auth/accessToken.ts';
import { keyThumbprint } from '../../src/auth/keys.ts';
import { fetchToken, type TokenResult } from '../../src/auth/fetchToken.ts';
import { RoundsError } from '../../src/errors.ts';
import { createHttp } from '../../src/system/http.ts';
import { silentLog } from '../../src/system/logger.ts';
import { rejection } from '../support/rejection.ts';
import { answerJson, createTestClock, startTokenServer, withFolder } from './support.ts';

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-384' });

async function fetchWith(outFile?: string, audit = () => Promise.resolve()): Promise<TokenResult> {
  const server = await startTokenServer(privateKey);
  const http = createHttp({ timeoutMs: 5000 });
  server.next.push(
    answerJson(200, {
      access_token: 'the-token',
      token_type: 'bearer',
      expires_in: 600,
      scope: 'system/Patient.read',
    }),
  );
  const source = new AccessTokenSource({
    http,
    clock: createTestClock(),
    log: silentLog,
    random: () => 0,
    key: {
      privateKey,
      algorithm: 'ES384',
      keyId: undefined,
      thumbprint: keyThumbprint(privateKey),
      warnings: [],
    },
    clientId: 'client-1',
    tokenEndpoint: server.tokenEndpoint,
    scope: 'system/Patient.read system/Observation.read',
  });
  try {
    return await fetchToken({ source, outFile, audit });
  } finally {
    await source.close();
    await http.close();
    await server.close();
  }
}

describe('token', () => {
  it('is in the result, with what it is good for', async () => {
    expect(await fetchWith()).toEqual({
      accessToken: 'the-token',
      file: undefined,
      expiresInSeconds: 600,
      requestedScopes: ['system/Patient.read', 'system/Observation.read'],
      grantedScopes: ['system/Patient.read'],
      missingScopes: ['system/Observation.read'],
      clockSkewMs: undefined,
    });
  });

  it('is in the file alone when one is named, for its owner alone', async () => {
    await withFolder(async (folder) => {
      const file = path.join(folder, 'token');
      const result = await fetchWith(file);
      expect(result).toMatchObject({ accessToken: undefined, file });
      expect(JSON.stringify(result)).not.toContain('the-token');
      expect(await readFile(file, 'utf8')).toBe('the-token\n');
      if (process.platform !== 'win32') expect((await stat(file)).mode & 0o777).toBe(0o600);
    });
  });

  it('is not handed out where it cannot be audited', async () => {
    await withFolder(async (folder) => {
      const file = path.join(folder, 'token');
      const full = () => Promise.reject(new RoundsError('DISK_FULL', 'no space left'));
      expect((await rejection(fetchWith(file, full))).code).toBe('DISK_FULL');
      await expect(readFile(file)).rejects.toMatchObject({ code: 'ENOENT' });
    });
  });
});
