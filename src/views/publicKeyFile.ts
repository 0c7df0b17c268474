import path from 'node:path';
import type { JobConfig } from '../config/schema.ts';

/** [paths] public_key, else `public-key.pem` beside the private key. */
export function publicKeyFileOf({ settings: { paths } }: Pick<JobConfig, 'settings'>): string {
  return paths.public_key ?? path.join(path.dirname(paths.private_key), 'public-key.pem');
}
