// `npm run long`: what `npm test` does in a shorter form: two runs of one job started together 50 times (there: 8), and a
// patient with 200,000 resources (there: 50,000).
import { spawnSync } from 'node:child_process';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '..', '..');
const vitest = path.join(root, 'node_modules', 'vitest', 'vitest.mjs');
const sizes = { FHIR_ROUNDS_TEST_PAIRS: '50', FHIR_ROUNDS_TEST_RESOURCES: '200000' };
const { status } = spawnSync(
  process.execPath,
  [vitest, 'run', '--config', path.join('test', 'vitest.config.ts'), 'disk/twoRuns', 'faults/paging'],
  { cwd: root, stdio: 'inherit', env: { ...process.env, ...sizes } },
);
process.exitCode = status ?? 1;
