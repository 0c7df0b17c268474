// `node --import meter.mjs`: at its end the process writes what the kernel counted for it, all threads and its start-up
// included, to descriptor 3. From within, since Node gives a parent no child's rusage.
import { readFileSync, writeSync } from 'node:fs';
import process from 'node:process';
import { isMainThread } from 'node:worker_threads';

if (isMainThread) {
  process.on('exit', () => {
    const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage();
    const usage = {
      cpuMs: (userCPUTime + systemCPUTime) / 1000,
      peakRssMb: (highWaterKb() ?? maxRSS) / 1024,
    };
    writeSync(3, JSON.stringify(usage));
  });
}

/** VmHWM: rusage's maxRSS begins with that of the parent at the fork, which may be the greater. Linux only. */
function highWaterKb() {
  try {
    return Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]);
  } catch {
    return undefined;
  }
}
