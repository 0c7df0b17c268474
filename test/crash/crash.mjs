// `npm run crash -- --kills N [--seed S]`: a run is killed at random moments, N times all in all. Without `--kills` all crash
// tests run as thorough as they can be, which takes hours: 1,000 kills, and more kinds of power cuts at every durable
// operation. `npm test` runs all of it sized for CI.
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { parseArgs } from 'node:util';

const root = path.resolve(import.meta.dirname, '..', '..');
const vitest = path.join(root, 'node_modules', 'vitest', 'vitest.mjs');

const { kills, seed, tests } = parseArguments();
process.stdout.write(`crash tests: ${kills} random kills, seed ${seed} (repeat with --seed ${seed})\n`);
const { status } = spawnSync(
  process.execPath,
  [vitest, 'run', '--config', path.join('test', 'vitest.config.ts'), tests],
  { cwd: root, stdio: 'inherit', env: { ...process.env, CRASH_OPTIONS: JSON.stringify({ kills, seed }) } },
);
process.exitCode = status ?? 1;

function parseArguments() {
  try {
    const { values } = parseArgs({ options: { kills: { type: 'string' }, seed: { type: 'string' } } });
    return {
      kills: whole('--kills', values.kills ?? '1000'),
      tests: values.kills === undefined ? 'crash/' : 'crash/randomKills',
      // Another one each time, so that many invocations see more than one would.
      seed: whole('--seed', values.seed ?? String(Date.now() % 1_000_000)),
    };
  } catch (error) {
    process.stderr.write(`npm run crash: ${error.message}\n`);
    process.exit(2);
  }
}

function whole(name, text) {
  if (!/^\d{1,9}$/.test(text)) throw new RangeError(`${name} takes a whole number`);
  return Number(text);
}
