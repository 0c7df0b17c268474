// One step of a rotation in a process of its own: `node rotateOnce.mjs STEP PLACE`.
import { keysRotate } from '../../dist/commands/keysRotate.js';

const [, , step, place] = process.argv;
await keysRotate({
  ...JSON.parse(place),
  step,
  way: 'certificate',
  jwksFile: undefined,
  now: false,
  clock: { now: () => Date.UTC(2026, 10, 22) },
  certificateName: 'fhir-rounds',
  certificateDays: 365,
  proveToken: async () => undefined,
});
