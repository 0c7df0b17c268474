import type { TokenService } from '../auth/accessToken.ts';
import { missingScopes, scopesCoverType } from '../auth/scopes.ts';
import type { JobConfig } from '../config/schema.ts';
import { asRoundsError } from '../errors.ts';
import type { ListedType } from '../inputs/resourceList.ts';
import type { Access } from '../run/preflight.ts';
import type { Clock } from '../system/clock.ts';
import type { Teller } from './checkStep.ts';
import { checkClock, explainRefusal } from './explainRefusal.ts';

/**
 * Steps from the key to a token: endpoint, clock, token, scopes, each ok or what to do. Where no token comes, it is found
 * out why. Returns whether one came; it is kept by nobody.
 */
export async function checkToken(
  job: JobConfig,
  access: Pick<Access, 'key' | 'keyId'>,
  listed: readonly ListedType[],
  open: () => Promise<TokenService>,
  clock: Clock,
  to: Teller,
): Promise<boolean> {
  const tokens = await to.attempt('token endpoint', async () => {
    const value = await open();
    const from =
      job.settings.oauth_settings.token_endpoint === undefined ? 'named by the FHIR server' : 'from the INI';
    return { value, detail: `${value.tokenEndpoint}, ${from}` };
  });
  if (tokens === undefined) return false;
  try {
    const skewMs = await checkClock(job, tokens.http, clock, to);
    if (!(await hasToken(job, access, tokens, skewMs, clock, to))) return false;
    checkScopes(tokens, listed, to);
    return true;
  } finally {
    await tokens.close();
  }
}

async function hasToken(
  job: JobConfig,
  access: Pick<Access, 'key' | 'keyId'>,
  tokens: TokenService,
  skewMs: number | undefined,
  clock: Clock,
  to: Teller,
): Promise<boolean> {
  try {
    await tokens.source.getAccessToken();
    const { remainingSeconds, grantedScopes } = tokens.source;
    to.tell(
      'token',
      'ok',
      `granted for ${remainingSeconds} s; scopes: ${grantedScopes?.join(' ') ?? 'not said'}`,
    );
    return true;
  } catch (thrown) {
    to.signal.throwIfAborted();
    const { code, message, hint } = asRoundsError(thrown);
    to.tell('token', 'problem', `${code}: ${message}`, code === 'TOKEN_INVALID_CLIENT' ? undefined : hint);
    if (code === 'TOKEN_INVALID_CLIENT') await explainRefusal(job, access, tokens, skewMs, clock, to);
    return false;
  }
}

/** What was granted against what was asked for, and against the list. */
function checkScopes({ source }: TokenService, listed: readonly ListedType[], to: Teller): void {
  const { grantedScopes, requestedScopes } = source;
  const hint = 'Tick the missing APIs in the registration (`fhir-rounds init` lists their names).';
  if (grantedScopes === undefined) {
    to.tell('scopes', 'ok', 'the server does not say what it granted; the probes will show it');
    return;
  }
  const missing = missingScopes(requestedScopes, grantedScopes);
  if (missing.length > 0)
    to.tell('scopes', 'warning', `Scopes asked for and not granted: ${missing.join(', ')}.`, hint);
  const uncovered = listed
    .map(({ resourceType }) => resourceType)
    .filter((resourceType) => !scopesCoverType(grantedScopes, resourceType));
  if (uncovered.length > 0)
    to.tell('scopes', 'warning', `no scope for listed types: ${uncovered.join(', ')}`, hint);
  else if (missing.length === 0) to.tell('scopes', 'ok', 'granted for every type of the list');
}
