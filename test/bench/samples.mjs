// What a process holds, sampled by sampler.mjs within it, and whether that grew. Linux only.
import path from 'node:path';
import readline from 'node:readline';
import { median } from './medians.mjs';

/** For node, before the script; the process also needs `samplerEnvironment`, and descriptor 3 as a pipe. */
export const SAMPLER_ARGS = ['--expose-gc', '--import', path.join(import.meta.dirname, 'sampler.mjs')];
/** So many samples in `durationMs`. */
const SAMPLES = 120;
export const samplerEnvironment = (durationMs) => ({ SAMPLE_MS: String(Math.ceil(durationMs / SAMPLES)) });

/** The samples, which are added to as they come. */
export function samplesOf(child) {
  const samples = [];
  readline.createInterface({ input: child.stdio[3] }).on('line', (line) => samples.push(JSON.parse(line)));
  return samples;
}

/** A figure's medians in the second quarter and in the last; the first is for warming up. */
export function growthOf(samples, figure) {
  const quarter = samples.length >> 2;
  const middle = (from, to) => median(samples.slice(from, to).map((one) => one[figure]));
  return { before: middle(quarter, 2 * quarter), after: middle(samples.length - quarter, samples.length) };
}
