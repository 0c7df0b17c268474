import path from 'node:path';
import type { AccessTokenSource } from './accessToken.ts';
import { missingScopes } from './scopes.ts';
import { asFileError, ensureFolder, writeAtomic } from '../system/files.ts';

export interface TokenCommand {
  /** The caller closes it. */
  readonly source: AccessTokenSource;
  /** Writes down, durably, that a token is handed out. */
  readonly audit: () => Promise<void>;
  /** Where the token goes (mode 0600); without it, into the result. */
  readonly outFile?: string | undefined;
}

export interface TokenResult {
  /** Only where no file was named: the one thing for stdout. */
  readonly accessToken: string | undefined;
  readonly file: string | undefined;
  readonly expiresInSeconds: number;
  readonly requestedScopes: readonly string[];
  /** Undefined: the server did not say. */
  readonly grantedScopes: readonly string[] | undefined;
  readonly missingScopes: readonly string[];
  /** Server's clock minus ours. */
  readonly clockSkewMs: number | undefined;
}

/**
 * Fetches one access token; what cannot be audited is not handed out. Throws what `AccessTokenSource.getAccessToken`
 * does, PATH_UNUSABLE and DISK_FULL.
 */
export async function fetchToken({ source, outFile, audit }: TokenCommand): Promise<TokenResult> {
  const accessToken = await source.getAccessToken();
  await audit();
  if (outFile !== undefined) await writeToken(outFile, accessToken);
  return {
    accessToken: outFile === undefined ? accessToken : undefined,
    file: outFile,
    expiresInSeconds: source.remainingSeconds,
    requestedScopes: source.requestedScopes,
    grantedScopes: source.grantedScopes,
    missingScopes:
      source.grantedScopes === undefined ? [] : missingScopes(source.requestedScopes, source.grantedScopes),
    clockSkewMs: source.clockSkewMs,
  };
}

async function writeToken(file: string, token: string): Promise<void> {
  try {
    await ensureFolder(path.dirname(path.resolve(file)));
    await writeAtomic(file, `${token}\n`);
  } catch (error) {
    throw asFileError(error, file);
  }
}
