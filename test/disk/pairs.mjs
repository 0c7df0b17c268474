// `npm run pairs -- [N]`: two runs of one job started together N times (50 unless told); `npm test` does it 8 times.
import { spawnSync } from 'node:child_process';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '..', '..');
const vitest = path.join(root, 'node_modules', 'vitest', 'vitest.mjs');
const pairs = process.argv[2] ?? '50';
if (!/^[1-9]\d{0,3}$/.test(pairs)) {
  process.stderr.write('npm run pairs: say how many, from 1 to 9999\n');
  process.exit(2);
}
const { status } = spawnSync(
  process.execPath,
  [vitest, 'run', '--config', path.join('test', 'vitest.config.ts'), 'disk/twoRuns'],
  { cwd: root, stdio: 'inherit', env: { ...process.env, FHIR_ROUNDS_TEST_PAIRS: pairs } },
);
process.exitCode = status ?? 1;
