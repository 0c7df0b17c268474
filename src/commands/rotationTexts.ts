import type { RotationWay } from '../auth/rotationState.ts';

/** What a person does after a step of a rotation. */

export const PREPARED: Readonly<Record<RotationWay, readonly string[]>> = {
  jwks: [
    'Serve the JWKS at its URL. Runs go on with the old key.',
    'When Epic has seen it (up to 29 hours): `fhir-rounds keys rotate --switch`. It changes nothing unless a token comes.',
    'To give it up: `fhir-rounds keys rotate --back`.',
  ],
  certificate: [
    'Have the new certificate uploaded at Epic beside the old one. Runs go on with the old key.',
    'Then: `fhir-rounds keys rotate --switch`. It changes nothing unless a token comes.',
    'To give it up: `fhir-rounds keys rotate --back`.',
  ],
};

export const SWITCHED: Readonly<Record<RotationWay, readonly string[]>> = {
  jwks: [
    'Serve the JWKS at its URL. A daemon that is running takes the new key when it starts again.',
    'After 30 hours: `fhir-rounds keys rotate --finish`.',
    'Does anything go wrong: `fhir-rounds keys rotate --back` puts the old key back.',
  ],
  certificate: [
    'A daemon that is running takes the new key when it starts again.',
    'When runs go well: `fhir-rounds keys rotate --finish`, and have the old certificate removed at Epic.',
    'Does anything go wrong: `fhir-rounds keys rotate --back` puts the old key back.',
  ],
};

/** After --back: from a switch, and from a preparation. */
export const PUT_BACK: readonly string[] = [
  'The old key is in use again; the next one is kept, and published beside it.',
  'Try again with `fhir-rounds keys rotate --switch`, or give it up with --back once more.',
];
export const GIVEN_UP: readonly string[] = [
  'The rotation is given up; the next key was deleted, and nothing else has changed.',
];

export const FINISHED: Readonly<Record<RotationWay, readonly string[]>> = {
  jwks: ['Serve the JWKS at its URL. The rotation is done; the previous private key was deleted.'],
  certificate: [
    'Have the old certificate removed at Epic. The rotation is done; the previous private key was deleted.',
  ],
};
