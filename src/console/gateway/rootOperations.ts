import type { TokenService } from '../../auth/accessToken.ts';
import { fetchToken } from '../../auth/fetchToken.ts';
import type { JobConfig } from '../../config/schema.ts';
import { siteStatus } from '../../views/siteStatus.ts';
import { inQuery, operationsIn, type Operation } from '../api/operation.ts';
import { jsonAnswer } from '../exchange.ts';
import { jwksOperations } from '../jwks.ts';
import type { Site } from '../site.ts';
import { environmentOf, gatewayMode } from './environment.ts';
import { useOf } from './fhirOperations.ts';
import { jobNamed, type Audit } from './guard.ts';
import { JOB } from './job.ts';

export interface RootDeps {
  readonly audit: Audit;
  /** A source of tokens for one use; whoever opens it closes it. */
  readonly openTokens: (job: JobConfig) => Promise<TokenService>;
}

/** The gateway's own paths beside the FHIR server's: token, keys, health, settings. */
export function rootOperations(site: Site, { audit, openTokens }: RootDeps): readonly Operation[] {
  const operation = operationsIn('Gateway');
  return [
    operation(
      'requestToken',
      '/auth/token',
      'Token',
      'Asks for an access token, and says what it is good for',
      {
        method: 'POST',
        text: 'The token itself stays on this machine unless show=true; then that stands in the audit file.',
        parameters: [
          {
            ...inQuery('show', 'Whether the token itself is in the answer.'),
            type: 'boolean',
            default: 'false',
          },
          JOB,
        ],
        answer: async (input, asked) => {
          const use = useOf(site, input, asked, '/auth/token');
          const isShown = input.flag('show');
          const tokens = await openTokens(use.job);
          try {
            const result = await fetchToken({
              source: tokens.source,
              audit: async () => {
                if (isShown) await auditHandedOut(site, use.job, use.session);
                await audit(use, [], 200);
              },
            });
            const { expiresInSeconds, requestedScopes, grantedScopes, missingScopes, clockSkewMs } = result;
            return jsonAnswer({
              tokenEndpoint: tokens.tokenEndpoint,
              ...{ expiresInSeconds, requestedScopes, grantedScopes: grantedScopes ?? null, missingScopes },
              clockSkewMs: clockSkewMs === undefined ? null : Math.round(clockSkewMs),
              ...(isShown ? { accessToken: result.accessToken } : {}),
            });
          } finally {
            await tokens.close();
          }
        },
      },
    ),
    ...jwksOperations(site),
    operation('getAlive', '/health', 'Alive', 'One word for all jobs', {
      text: 'For what watches over processes; /api/v1/health says why.',
      open: true,
      quiet: true,
      answer: async () => {
        const { verdict } = await site.read((ledger) => siteStatus(site.config(), ledger, site.clock));
        return jsonAnswer({ status: verdict });
      },
    }),
    operation('getConfigInfo', '/config/info', 'ConfigInfo', 'A job’s server and client; no secret', {
      parameters: [JOB],
      answer: (input) => {
        const job = jobNamed(site, input.text('job'));
        const { epic_settings: epic, oauth_settings: oauth, jwt_settings: jwt } = job.settings;
        return jsonAnswer({
          ...{ job: job.jobName, method: job.method, fhirBase: epic.epic_endpoint },
          tokenEndpoint: oauth.token_endpoint ?? null,
          ...{ clientId: oauth.client_id, algorithm: jwt.jwt_algorithm, scope: oauth.scope ?? null },
          ...{ environment: environmentOf(job), gateway: gatewayMode(job) },
        });
      },
    }),
  ];
}

function auditHandedOut(site: Site, { jobName, settings }: JobConfig, session: string): Promise<void> {
  const { epic_settings: epic, oauth_settings: oauth } = settings;
  return site.write(({ audit }) => {
    audit.append({
      event: 'token.handed-out',
      atMs: site.clock.now(),
      job: jobName,
      server: new URL(epic.epic_endpoint).host,
      clientId: oauth.client_id,
      session,
    });
  });
}
