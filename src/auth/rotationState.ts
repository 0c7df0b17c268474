import { readFile, rm } from 'node:fs/promises';
import { RoundsError } from '../errors.ts';
import { isoInstant } from '../system/clock.ts';
import { errno, writeAtomic } from '../system/files.ts';

/**
 * Where a key's rotation stands, in a file beside the key: `<private_key>.rotation.json`. It is written last in every
 * step, so that a step which was cut short is done again, and is gone when the rotation is over.
 */
export interface RotationState {
  readonly formatVersion: 1;
  /** How Epic knows the key: by a JWKS that the site hosts, or by a certificate that was uploaded. */
  readonly way: RotationWay;
  /** `prepared`: the next key is there, the old one in use. `switched`: the next one in use, the old one kept. */
  readonly phase: 'prepared' | 'switched';
  /** When this phase began, in ms since 1970. */
  readonly sinceMs: number;
  /** The file behind the JWKS URL. */
  readonly jwksFile: string | undefined;
}

export type RotationWay = 'jwks' | 'certificate';

const stateFile = (privateKeyFile: string): string => `${privateKeyFile}.rotation.json`;

/** Undefined: no rotation is under way. Throws KEY_ROTATION when the file is none of ours. */
export async function readRotation(privateKeyFile: string): Promise<RotationState | undefined> {
  const file = stateFile(privateKeyFile);
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if (errno(error) === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const { way, phase, since, jwksFile } = JSON.parse(text) as Record<string, unknown>;
    const sinceMs = Date.parse(String(since));
    const isKnown =
      (way === 'jwks' || way === 'certificate') &&
      (phase === 'prepared' || phase === 'switched') &&
      !Number.isNaN(sinceMs);
    if (isKnown) {
      return {
        formatVersion: 1,
        way,
        phase,
        sinceMs,
        jwksFile: typeof jwksFile === 'string' ? jwksFile : undefined,
      };
    }
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw new RoundsError('KEY_ROTATION', `${file} is not as this program writes it`, {
    hint: 'Move it away; the keys beside it stay as they are, and a step of `fhir-rounds keys rotate` goes by them.',
  });
}

export async function writeRotation(privateKeyFile: string, state: RotationState): Promise<void> {
  const { sinceMs, ...rest } = state;
  await writeAtomic(
    stateFile(privateKeyFile),
    `${JSON.stringify({ ...rest, since: isoInstant(sinceMs) }, undefined, 2)}\n`,
  );
}

export async function endRotation(privateKeyFile: string): Promise<void> {
  await rm(stateFile(privateKeyFile), { force: true });
}
