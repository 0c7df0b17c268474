// `node --expose-gc --import sampler.mjs`: every SAMPLE_MS the process writes what it holds, as a line to descriptor 3:
// memory after a collection, descriptors, and what keeps it alive (sockets, timers, requests to the system).
import { readdirSync, writeSync } from 'node:fs';
import process from 'node:process';
import { setInterval } from 'node:timers';
import { isMainThread } from 'node:worker_threads';

const MEGABYTE = 2 ** 20;

if (isMainThread) {
  const everyMs = Number(process.env.SAMPLE_MS);
  // Without its reference it is no handle that is counted.
  setInterval(() => writeSync(3, `${JSON.stringify(sample())}\n`), everyMs).unref();
}

function sample() {
  globalThis.gc();
  const { rss, heapUsed, external } = process.memoryUsage();
  return {
    rssMb: rss / MEGABYTE,
    heapMb: heapUsed / MEGABYTE,
    externalMb: external / MEGABYTE,
    descriptors: readdirSync('/proc/self/fd').length,
    handles: process.getActiveResourcesInfo().length,
  };
}
