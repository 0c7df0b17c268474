// Processes of a benchmark: the fast server, and those that are measured.
import { fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import process from 'node:process';

const here = (name) => path.join(import.meta.dirname, name);
export const CLI = path.resolve(import.meta.dirname, '..', '..', 'dist', 'cli.js');

/** Starts the fast server; see server.mjs for its options. `counts()` gives and resets what it counted. */
export async function startServer(options) {
  const given = { types: [], patients: 0, perSearch: 0, latencyMs: 0, gzip: false, ...options };
  const child = fork(here('server.mjs'), [JSON.stringify(given)], { env: plainEnvironment() });
  const gone = once(child, 'exit').then(([code]) => {
    throw new Error(`the fast server ended with ${code}`);
  });
  gone.catch(() => undefined);
  const next = async () => (await Promise.race([once(child, 'message'), gone]))[0];
  const { origin, base } = await next();
  return {
    origin,
    base,
    counts: async () => {
      child.send('counts');
      return next();
    },
    close: async () => {
      if (child.exitCode !== null) return;
      child.disconnect();
      await once(child, 'exit');
    },
  };
}

/** Runs a script of this folder, or the program, to its end: wall, CPU, peak memory, how it ended. */
export async function measured(script, args, options = {}) {
  const file = script.includes(path.sep) ? script : here(script);
  const nodeArgs = ['--import', here('meter.mjs'), ...(options.nodeArgs ?? []), file, ...args];
  return measuredCommand(process.execPath, nodeArgs, options);
}

/** The same for any command; what is no Node process has a wall time only. */
export async function measuredCommand(command, args, { cwd, onStart } = {}) {
  const startedAtMs = Date.now();
  const from = performance.now();
  const child = spawn(command, args, {
    cwd,
    env: plainEnvironment(),
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
  });
  onStart?.(child);
  const texts = child.stdio.slice(1).map((stream) => textOf(stream));
  const [code] = await once(child, 'exit');
  const wallMs = performance.now() - from;
  const [stdout, stderr, usage] = await Promise.all(texts);
  return { startedAtMs, wallMs, code, stdout, stderr, ...(usage === '' ? {} : JSON.parse(usage)) };
}

async function textOf(stream) {
  let text = '';
  for await (const chunk of stream.setEncoding('utf8')) text += chunk;
  return text;
}

/** Nothing of the developer's own settings reaches what is measured. */
export function plainEnvironment() {
  const { PATH, HOME, TMPDIR } = process.env;
  return Object.fromEntries(
    Object.entries({ PATH, HOME, TMPDIR }).filter(([, value]) => value !== undefined),
  );
}
