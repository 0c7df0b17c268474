// Counts durable operations, and ends the process at the one that the plan names.
import { existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { plan } from './plan.mjs';
import { cutPower } from './durability.mjs';

let count = 0;

/** Counts an operation, ending the process before it where the plan says so; returns what to call after it. */
export function operation(kind) {
  const number = ++count;
  if (number !== plan.at) return () => undefined;
  if (plan.how !== 'after') end(number, kind);
  return () => end(number, kind);
}

/** Whether a path is among those that the plan watches: the roots, what is below them, and the folders they are in. */
export function isWatched(file) {
  const full = path.resolve(String(file));
  return plan.roots.some(
    (root) => full === root || full === path.dirname(root) || full.startsWith(root + path.sep),
  );
}

function end(number, kind) {
  writeFileSync(plan.reportFile, JSON.stringify({ at: number, kind }));
  if (plan.how === 'power') cutPower();
  process.kill(process.pid, 'SIGKILL');
  // The signal is on its way: nothing more may happen.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
}

process.on('exit', () => {
  if (!existsSync(plan.reportFile)) writeFileSync(plan.reportFile, JSON.stringify({ at: count }));
});
