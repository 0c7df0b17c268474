// `npm run check`: format, lint, types, import rule, dead code, package, documents. Works on a fresh clone, so it imports
// node: only. Every step runs, also after one that failed. `npm run check -- lint types` runs those steps alone, and
// `npm run check -- --but documents` all others.
import { Buffer } from 'node:buffer';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
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

/** Each keeps one core busy. */
const AT_ONCE = 2;

const [first, ...others] = process.argv.slice(2);
const isBut = first === '--but';
const named = isBut || first === undefined ? others : [first, ...others];
const names = STEPS.map(([name]) => name);
const unknown = named.filter((name) => !names.includes(name));
if (unknown.length > 0) {
  process.stderr.write(`check: no step ${unknown.join(', ')}; there are ${names.join(', ')}\n`);
  process.exit(2);
}

const chosen = STEPS.filter(([name]) => named.length === 0 || named.includes(name) !== isBut);
const verdicts = [];
const left = [...chosen];
// The others need what it installs.
if (left[0]?.[0] === 'set-up') await run(left.shift());
await Promise.all(
  Array.from({ length: AT_ONCE }, async () => {
    for (let step; (step = left.shift()) !== undefined;) await run(step);
  }),
);

process.stdout.write('\n');
for (const [name] of chosen) {
  const { ok, seconds } = verdicts.find((verdict) => verdict.name === name);
  process.stdout.write(
    `${ok ? 'ok    ' : 'FAILED'}  ${name.padEnd(10)} ${seconds.toFixed(1).padStart(6)} s\n`,
  );
}
process.exitCode = verdicts.every(({ ok }) => ok) ? 0 : 1;

/** Runs a step, and says in one piece what it said. */
async function run([name, args]) {
  const from = performance.now();
  const env = { ...process.env, ...(process.stdout.isTTY ? { FORCE_COLOR: '1' } : {}) };
  const child = spawn(process.execPath, args, { cwd: root, env, stdio: ['inherit', 'pipe', 'pipe'] });
  const said = [];
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => said.push(chunk));
  const [code] = await once(child, 'close');
  process.stdout.write(`\n== ${name}\n${Buffer.concat(said).toString('utf8')}`);
  verdicts.push({ name, ok: code === 0, seconds: (performance.now() - from) / 1000 });
}
