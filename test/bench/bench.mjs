// `npm run bench [-- ROW...] [--rounds N] [--json FILE] [--all] [--small] [--cpu-prof FOLDER]`: us and the raw limit in
// turn; medians, and the targets that they are held against. A missed one is no failure: times differ between machines.
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { newPrivateKey } from './installation.mjs';
import { median } from './medians.mjs';
import { ROWS } from './rows.mjs';
import { headOf, machine, rowText } from './table.mjs';

const SMALL = 20;

const { chosen, rounds, json, small, 'cpu-prof': profiles } = parseArguments();
const bench = {
  rounds,
  privateKey: newPrivateKey(),
  /** For our runs: profiles cost time, so the numbers beside them say less. */
  nodeArgs: profiles === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${path.resolve(profiles)}`],
  /** A size, or with --small a twentieth of it. */
  sized: (size) => (small ? Math.ceil(size / SMALL) : size),
};
const about = machine();
process.stdout.write(`${headOf(about, rounds, small)}\n`);
const results = [];
for (const row of chosen) {
  const result = await resultOf(row);
  results.push(result);
  process.stdout.write(`${rowText(result)}\n`);
}
if (json !== undefined) {
  await writeFile(
    json,
    `${JSON.stringify({ machine: about, rounds, small, rows: results }, undefined, 2)}\n`,
  );
}
if (results.some(({ error }) => error !== undefined)) process.exitCode = 1;

async function resultOf({ name, what, atMost, once = false, rounds: measure }) {
  const taken = [];
  try {
    for await (const figures of measure({ ...bench, rounds: once ? 1 : rounds })) taken.push(figures);
  } catch (error) {
    return { name, what, error: error.message };
  }
  const names = Object.keys(taken[0]);
  const medians = Object.fromEntries(
    names.map((figure) => [figure, median(taken.map((figures) => figures[figure]))]),
  );
  const targets = Object.entries(small ? {} : atMost).map(([figure, limit]) => ({
    figure,
    atMost: limit,
    met: medians[figure] <= limit,
  }));
  return { name, what, medians, targets, rounds: taken };
}

function parseArguments() {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        rounds: { type: 'string', default: '3' },
        json: { type: 'string' },
        all: { type: 'boolean', default: false },
        small: { type: 'boolean', default: false },
        'cpu-prof': { type: 'string' },
      },
    });
    if (!/^[1-9]\d{0,2}$/.test(values.rounds)) throw new RangeError('--rounds takes a whole number from 1');
    const unknown = positionals.filter((name) => !ROWS.some((row) => row.name === name));
    if (unknown.length > 0) {
      throw new RangeError(
        `no row ${unknown.join(', ')}; there are ${ROWS.map(({ name }) => name).join(', ')}`,
      );
    }
    const isChosen = ({ name, onlyNamed = false }) =>
      positionals.length === 0 ? values.all || !onlyNamed : positionals.includes(name);
    return { ...values, rounds: Number(values.rounds), chosen: ROWS.filter(isChosen) };
  } catch (error) {
    process.stderr.write(`npm run bench: ${error.message}\n`);
    process.exit(2);
  }
}
