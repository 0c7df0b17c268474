// `npm run check`: format, lint, types, import rule, dead code, package, documents. Works on a fresh clone, so it imports
// node: only. Every step runs, also after one that failed. `npm run check -- lint types` runs those steps alone.
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..', '..');
const tsc = 'node_modules/typescript/bin/tsc';

/** Name of a step, and what node runs for it. */
const STEPS = [
  // Installs and builds what is missing.
  ['set-up', ['src/bootstrap.mjs', '--version']],
  ['format', ['node_modules/prettier/bin/prettier.cjs', '--check', '--log-level', 'warn', '.']],
  ['lint', ['node_modules/eslint/bin/eslint.js', '--max-warnings', '0', '.']],
  ['types', [tsc, '-p', 'tsconfig.json', '--noEmit']],
  ['test-types', [tsc, '-p', 'test/tsconfig.json']],
  ['imports', ['node_modules/dependency-cruiser/bin/dependency-cruise.mjs', 'src']],
  ['dead-code', ['node_modules/knip/bin/knip.js', '--no-progress']],
  // What npm would publish, and its types, as those who import it see them.
  ['package', ['test/support/package.mjs']],
  [
    'documents',
    [
      'node_modules/vitest/vitest.mjs',
      'run',
      '--config',
      'test/vitest.config.ts',
      'docs/',
      'config/reference.test.ts',
    ],
  ],
];

const wanted = process.argv.slice(2);
const names = STEPS.map(([name]) => name);
const unknown = wanted.filter((name) => !names.includes(name));
if (unknown.length > 0) {
  process.stderr.write(`check: no step ${unknown.join(', ')}; there are ${names.join(', ')}\n`);
  process.exit(2);
}

const verdicts = [];
for (const [name, args] of STEPS) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  process.stdout.write(`\n== ${name}\n`);
  const from = performance.now();
  const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' });
  verdicts.push({ name, ok: status === 0, seconds: (performance.now() - from) / 1000 });
}

process.stdout.write('\n');
for (const { name, ok, seconds } of verdicts) {
  process.stdout.write(
    `${ok ? 'ok    ' : 'FAILED'}  ${name.padEnd(10)} ${seconds.toFixed(1).padStart(6)} s\n`,
  );
}
process.exitCode = verdicts.every(({ ok }) => ok) ? 0 : 1;
