import { createHash } from 'node:crypto';
import type { JwkSet } from '../auth/jwks.ts';
import { publicJwksOf } from '../auth/publicKeyFile.ts';
import { readRotation } from '../auth/rotationState.ts';
import type { JobConfig } from '../config/schema.ts';
import { exists } from '../system/files.ts';
import { publicKeyFileOf } from '../views/publicKeyFile.ts';
import { operationsIn, routesOf, type Operation } from './api/operation.ts';
import type { Answer, Route } from './exchange.ts';
import { JOB } from './gateway/job.ts';
import { jobNamed } from './gateway/guard.ts';
import type { Site } from './site.ts';

/** Epic keeps a JWKS for up to 29 hours anyway (H); who asks more often gets the news within the hour. */
const MAX_AGE_SECONDS = 3_600;

/**
 * The public keys of a job, from public files alone. While keys are rotated by a JWKS, that is the file which the rotation
 * publishes, since it holds both keys.
 */
export async function publishedKeys({ settings }: JobConfig): Promise<JwkSet> {
  const { paths, jwt_settings: jwt } = settings;
  const rotated = (await readRotation(paths.private_key))?.jwksFile;
  const isRotating = rotated !== undefined && (await exists(rotated));
  return publicJwksOf({
    publicKeyFile: isRotating ? rotated : publicKeyFileOf({ settings }),
    certificateFile: paths.certificate,
    keyId: jwt.key_id,
    algorithm: jwt.jwt_algorithm,
  });
}

/** `/jwks` and `/.well-known/jwks.json`: open to everybody, from public files alone. */
export function jwksOperations(site: Pick<Site, 'config'>): readonly Operation[] {
  const operation = operationsIn('Gateway');
  const at = (key: string, where: string): Operation =>
    operation(key, where, 'JwkSet', 'The public keys (JWK Set) that Epic verifies with', {
      open: true,
      quiet: true,
      parameters: [JOB],
      answer: async (input) => keySetAnswer(await publishedKeys(jobNamed(site, input.text('job')))),
    });
  return [at('getJwks', '/jwks'), at('getWellKnownJwks', '/.well-known/jwks.json')];
}

/** What `console --jwks-only` serves. The full console has these paths by its gateway. */
export function jwksRoutes(site: Pick<Site, 'config'>): readonly Route[] {
  return routesOf(jwksOperations(site));
}

function keySetAnswer(keys: JwkSet): Answer {
  const body = `${JSON.stringify(keys, undefined, 2)}\n`;
  return {
    status: 200,
    contentType: 'application/json; charset=utf-8',
    headers: {
      'cache-control': `public, max-age=${MAX_AGE_SECONDS}`,
      etag: `"${createHash('sha256').update(body).digest('hex').slice(0, 32)}"`,
      'access-control-allow-origin': '*',
    },
    body,
  };
}
