// Counts durable operations. At each it takes images of what a crash would leave, or at one it ends the process.
import { existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { takeImage } from './durability.mjs';
import { digestOf, discard } from './images.mjs';
import { plan } from './plan.mjs';
import { randomFrom } from './random.mjs';

let count = 0;
/** By number, what each operation is, in words. */
const kinds = [];
/** What a crash at each operation, in each way, leaves; those that leave the same share an image. */
const images = [];
const folders = new Map();

/** Counts an operation, ending the process before it where the plan says so; returns what to call after it. */
export function operation(kind) {
  const number = ++count;
  kinds.push(kind);
  if (plan.imageFolder !== undefined) photograph(number, kind);
  if (number !== plan.at) return () => undefined;
  if (plan.how === 'before') end();
  return end;
}

/** Whether a path is among those that the plan watches: the roots, what is below them, and the folders they are in. */
export function isWatched(file) {
  const full = path.resolve(String(file));
  return plan.roots.some(
    (root) => full === root || full === path.dirname(root) || full.startsWith(root + path.sep),
  );
}

function photograph(number, kind) {
  for (let cut = 0; cut <= plan.cuts; cut++) {
    const folder = path.join(plan.imageFolder, `${number}.${cut}`);
    takeImage(folder, chanceOf(number, cut));
    const digest = digestOf(plan.roots.map((root) => path.join(folder, path.basename(root))));
    if (folders.has(digest)) discard(folder);
    else folders.set(digest, folder);
    images.push({ at: number, kind, how: cut === 0 ? 'kill' : 'power', folder: folders.get(digest) });
  }
}

/** The first image is what a kill leaves, the second what the worst power cut leaves, others what some cut does. */
function chanceOf(number, cut) {
  if (cut === 0) return undefined;
  return cut === 1 ? () => 0 : randomFrom(plan.seed + number * 1_000 + cut);
}

function end() {
  report();
  process.kill(process.pid, 'SIGKILL');
  // The signal is on its way: nothing more may happen.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
}

function report() {
  writeFileSync(plan.reportFile, JSON.stringify({ kinds, images }));
}

process.on('exit', () => {
  if (!existsSync(plan.reportFile)) report();
});
