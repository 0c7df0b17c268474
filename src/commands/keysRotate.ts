import { certificateThumbprint, makeCertificate } from '../auth/certificate.ts';
import type { SigningKey } from '../auth/keys.ts';
import { RoundsError } from '../errors.ts';
import { duration } from '../report/format.ts';
import type { Clock } from '../system/clock.ts';
import { exists, writeAtomic } from '../system/files.ts';
import { loadPlace, type KeysResult, type WrittenFile } from './keys.ts';
import {
  certificateOf,
  dropSpare,
  exchangeKeys,
  makeNextKey,
  spareKey,
  type RotationPlace,
} from './rotationFiles.ts';
import { published } from './rotationResult.ts';
import { FINISHED, GIVEN_UP, PREPARED, PUT_BACK, SWITCHED } from './rotationTexts.ts';
import {
  endRotation,
  readRotation,
  writeRotation,
  type RotationState,
  type RotationWay,
} from '../auth/rotationState.ts';

/**
 * - `prepare`: makes the next key (once); publishes both in the JWKS, or makes the certificate to upload.
 * - `switch`: proves the next key with a real token, then puts it in the old one's place; both stay published.
 * - `finish`: publishes the key in use alone and deletes the old one; with a JWKS not before WAIT_MS, unless `now`.
 * - `back`: one step back: from a switch to the old key, or from a preparation to nothing.
 */
export type RotateStep = 'prepare' | 'switch' | 'finish' | 'back';

export interface RotateOptions extends RotationPlace {
  readonly step: RotateStep;
  readonly way: RotationWay;
  /** The file behind the JWKS URL that Epic knows; once told, a rotation knows it. */
  readonly jwksFile: string | undefined;
  readonly now: boolean;
  readonly clock: Clock;
  /** Of the next certificate. */
  readonly certificateName: string;
  readonly certificateDays: number;
  /** Resolves when the token endpoint issued a token for this key and `kid`; rejects otherwise. */
  readonly proveToken: (key: SigningKey, keyId: string) => Promise<void>;
}

/** Epic keeps a JWKS for up to 29 h (H): so long it may still verify with the old key alone. */
const WAIT_MS = 30 * 3_600_000;

/**
 * `keys rotate`. The next key waits at `<private_key>.next`, the one before is kept at `<private_key>.previous` until
 * `finish`; at no moment is there no key at `private_key`, also after a crash, and every step may be repeated.
 *
 * Throws KEY_ROTATION (a step out of its order or too early), CONFIG_INVALID (a configured key_id or certificate would
 * not follow the new key), whatever `proveToken` throws (nothing is changed then), and what `loadPrivateKey` and
 * `writeJwks` do.
 */
export async function keysRotate(given: RotateOptions): Promise<KeysResult> {
  const state = await readRotation(given.privateKeyFile);
  const options: RotateOptions = {
    ...given,
    way: state?.way ?? given.way,
    jwksFile: given.jwksFile ?? state?.jwksFile,
    // The certificate belongs to the other way: there, none may stand in this one's path.
    certificateFile: (state?.way ?? given.way) === 'certificate' ? given.certificateFile : undefined,
  };
  await refuseWrongWay(options, given.certificateFile);
  const hasOld = await exists(`${given.privateKeyFile}.previous`);
  // A finish that was cut short may leave a state behind, and no old key.
  const isSwitched = state?.phase === 'switched' && hasOld;
  switch (options.step) {
    case 'prepare':
      return isSwitched ? told(options, state) : prepare(options, state);
    case 'switch':
      return switchToNext(options, state);
    case 'finish':
      return finish(options, state);
    case 'back':
      return back(options, state);
  }
}

async function refuseWrongWay(options: RotateOptions, certificateFile: string | undefined): Promise<void> {
  const { way, keyId, jwksFile } = options;
  const hint =
    'Leave key_id and certificate out: the kid is then the key’s own thumbprint, as `keys jwks` publishes it. Where Epic has an uploaded certificate, call `fhir-rounds keys rotate --certificate`.';
  if (keyId !== undefined) {
    throw new RoundsError(
      'CONFIG_INVALID',
      '[jwt_settings] key_id names one key, so it cannot stay while keys are rotated',
      { hint },
    );
  }
  if (way === 'certificate') {
    if (certificateFile === undefined) {
      throw new RoundsError('CONFIG_INVALID', '[paths] certificate does not say where the certificate lies');
    }
    return;
  }
  if (certificateFile !== undefined && (await exists(certificateFile))) {
    throw new RoundsError(
      'CONFIG_INVALID',
      '[paths] certificate names one key, so it cannot stay while keys are rotated',
      { hint },
    );
  }
  if (jwksFile === undefined) {
    throw new RoundsError(
      'USAGE',
      'name the file behind the JWKS URL with --jwks FILE, or give --certificate',
    );
  }
}

async function prepare(options: RotateOptions, state: RotationState | undefined): Promise<KeysResult> {
  const { privateKeyFile, clock } = options;
  if (await exists(`${privateKeyFile}.previous`)) {
    // A switch was cut short before it could say so.
    return switchToNext(options, undefined);
  }
  const current = await loadPlace(options);
  const made = await makeNextKey(options, current.key.privateKey);
  const next = (await spareKey(options, '.next'))!;
  const certificate = await nextCertificate(options, next);
  const files: WrittenFile[] = made ? [{ path: `${privateKeyFile}.next`, what: 'private key' }] : [];
  if (certificate) files.push({ path: `${options.certificateFile!}.next`, what: 'certificate' });
  const result = await published(options, [current.key, next], next, files, certificate);
  const sinceMs = state?.phase === 'prepared' ? state.sinceMs : clock.now();
  await writeRotation(privateKeyFile, stateOf(options, 'prepared', sinceMs));
  return result(PREPARED[options.way]);
}

/** The next key's certificate, made once; undefined with a JWKS. */
async function nextCertificate(options: RotateOptions, next: SigningKey): Promise<string | undefined> {
  const { way, certificateFile, clock, certificateName, certificateDays } = options;
  if (way === 'jwks') return undefined;
  const file = `${certificateFile!}.next`;
  const there = await certificateOf(file, next.privateKey);
  if (there !== undefined) return there;
  const pem = await makeCertificate({
    key: next.privateKey,
    subjectCommonName: certificateName,
    days: certificateDays,
    clock,
  });
  await writeAtomic(file, pem, { folder: 0o755, file: 0o644 });
  return pem;
}

async function switchToNext(options: RotateOptions, state: RotationState | undefined): Promise<KeysResult> {
  const { privateKeyFile, certificateFile, clock, proveToken } = options;
  const next = await spareKey(options, '.next');
  if (next === undefined && !(await exists(`${privateKeyFile}.previous`))) {
    throw new RoundsError('KEY_ROTATION', 'there is no next key to switch to', {
      hint: 'Make and publish it first with `fhir-rounds keys rotate --jwks FILE`, or with --certificate.',
    });
  }
  if (next) {
    const certificate = await certificateOf(certificateFile && `${certificateFile}.next`, next.privateKey);
    const keyId =
      certificate === undefined ? (next.keyId ?? next.thumbprint) : certificateThumbprint(certificate).sha1;
    await proveToken(next, keyId);
  }
  const used = await exchangeKeys(options, '.next', '.previous');
  const kept = (await spareKey(options, '.previous'))!;
  const files: WrittenFile[] = [
    { path: privateKeyFile, what: 'private key' },
    { path: options.publicKeyFile, what: 'public key' },
    { path: `${privateKeyFile}.previous`, what: 'previous private key' },
  ];
  const result = await published(
    options,
    [used, kept],
    used,
    files,
    await certificateOf(certificateFile, used.privateKey),
  );
  const isDone = state?.phase === 'switched' && next === undefined;
  if (!isDone) await writeRotation(privateKeyFile, stateOf(options, 'switched', clock.now()));
  return result(SWITCHED[options.way]);
}

async function finish(options: RotateOptions, state: RotationState | undefined): Promise<KeysResult> {
  const { privateKeyFile, clock, now, way } = options;
  if (await exists(`${privateKeyFile}.next`)) {
    throw new RoundsError('KEY_ROTATION', 'the next key is not in use yet', {
      hint: 'Switch with `fhir-rounds keys rotate --switch`, or give it up with --back.',
    });
  }
  const hasOld = await exists(`${privateKeyFile}.previous`);
  if (hasOld && way === 'jwks' && !now) {
    const waited = state?.phase === 'switched' ? clock.now() - state.sinceMs : 0;
    if (waited < WAIT_MS) {
      throw new RoundsError(
        'KEY_ROTATION',
        `the old key was left ${duration(Math.max(0, waited))} ago, and Epic may keep the JWKS for 29 hours`,
        {
          hint: `Finish in ${duration(WAIT_MS - Math.max(0, waited))}, or with --now when you know better.`,
        },
      );
    }
  }
  const { key, certificate: _certificate } = await loadPlace(options);
  const result = await published(
    options,
    [key],
    key,
    [],
    await certificateOf(options.certificateFile, key.privateKey),
  );
  // While it is there, `finish` can be repeated and `prepare` says what is missing.
  await dropSpare(options, '.previous');
  await endRotation(privateKeyFile);
  return result(FINISHED[way]);
}

async function back(options: RotateOptions, state: RotationState | undefined): Promise<KeysResult> {
  const { privateKeyFile, clock, certificateFile } = options;
  const isSwitched = (await exists(`${privateKeyFile}.previous`)) || state?.phase === 'switched';
  if (isSwitched) {
    const used = await exchangeKeys(options, '.previous', '.next');
    const next = (await spareKey(options, '.next'))!;
    const result = await published(
      options,
      [used, next],
      used,
      [{ path: privateKeyFile, what: 'private key' }],
      await certificateOf(certificateFile, used.privateKey),
    );
    await writeRotation(privateKeyFile, stateOf(options, 'prepared', clock.now()));
    return result(PUT_BACK);
  }
  if (state === undefined && !(await exists(`${privateKeyFile}.next`))) {
    throw new RoundsError('KEY_ROTATION', 'no rotation is under way');
  }
  const { key } = await loadPlace(options);
  const result = await published(
    options,
    [key],
    key,
    [],
    await certificateOf(certificateFile, key.privateKey),
  );
  await dropSpare(options, '.next');
  await endRotation(privateKeyFile);
  return result(GIVEN_UP);
}

/** What stands, when a step has nothing to do. */
async function told(options: RotateOptions, state: RotationState): Promise<KeysResult> {
  const { key } = await loadPlace(options);
  const result = await published(
    options,
    [key, (await spareKey(options, '.previous')) ?? key],
    key,
    [],
    await certificateOf(options.certificateFile, key.privateKey),
  );
  return result([
    `The switch was made ${duration(Math.max(0, options.clock.now() - state.sinceMs))} ago.`,
    ...SWITCHED[options.way].slice(1),
  ]);
}

function stateOf(
  { way, jwksFile }: RotateOptions,
  phase: RotationState['phase'],
  sinceMs: number,
): RotationState {
  return { formatVersion: 1, way, phase, sinceMs, jwksFile };
}
