// `node --import fastClock.mjs`: for the process time passes BENCH_CLOCK_FACTOR times as fast: dates and timers.
import { syncBuiltinESMExports } from 'node:module';
import { performance } from 'node:perf_hooks';
import process from 'node:process';
import timers from 'node:timers';
import timersPromises from 'node:timers/promises';

const factor = Number(process.env.BENCH_CLOCK_FACTOR);
const RealDate = Date;
const startedAt = RealDate.now();
const real = {
  now: performance.now.bind(performance),
  setTimeout: timers.setTimeout,
  setInterval: timers.setInterval,
  sleep: timersPromises.setTimeout,
};
const fastNow = () => startedAt + Math.round(real.now() * factor);

globalThis.Date = class extends RealDate {
  constructor(...args) {
    if (args.length === 0) super(fastNow());
    else super(...args);
  }

  static now() {
    return fastNow();
  }
};
performance.now = () => real.now() * factor;
globalThis.setTimeout = timers.setTimeout = (work, ms = 0, ...args) =>
  real.setTimeout(work, ms / factor, ...args);
globalThis.setInterval = timers.setInterval = (work, ms = 0, ...args) =>
  real.setInterval(work, ms / factor, ...args);
timersPromises.setTimeout = (ms = 0, ...args) => real.sleep(ms / factor, ...args);
syncBuiltinESMExports();
