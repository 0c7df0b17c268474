// What the program costs when it has next to nothing to do: commands that look, and a daemon between its runs. Of a
// daemon that runs, /proc tells the CPU and memory, so these rows are for Linux.
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { openStage, runOnce } from './sideBySide.mjs';
import { CLI, measured, plainEnvironment } from './processes.mjs';
import { TYPES } from './population.mjs';
import { growthOf, SAMPLER_ARGS, samplerEnvironment, samplesOf } from './samples.mjs';

const SETTLE_MS = 10_000;
const IDLE_MS = 30_000;
const MONTH_MS = 30 * 86_400_000;
const MONTH_TAKES_MS = 120_000;
/** USER_HZ, which /proc counts in: the same on every Linux. */
const TICK_MS = 10;

export async function* commandRounds(bench) {
  const stage = await openStage(bench, { types: TYPES, patients: bench.sized(200), perSearch: 1 });
  const installation = await stage.installed({});
  try {
    await runOnce(installation);
    for (let round = 0; round < bench.rounds; round++) {
      const status = await look(installation, 'status');
      const dryRun = await look(installation, 'run', '--dry-run');
      yield {
        statusCpuS: status.cpuMs / 1000,
        statusWallS: status.wallMs / 1000,
        dryRunCpuS: dryRun.cpuMs / 1000,
        dryRunWallS: dryRun.wallMs / 1000,
      };
    }
  } finally {
    await installation.remove();
    await stage.close();
  }
}

async function look(installation, ...command) {
  const looked = await measured(CLI, installation.args(...command), { cwd: installation.folder });
  if (looked.cpuMs === undefined || looked.code === 2)
    throw new Error(`${command[0]} ended with ${looked.code}`);
  return looked;
}

export async function* idleRounds(bench) {
  yield await withDaemon(bench, [], {}, async ({ pid }) => {
    await sleep(bench.sized(SETTLE_MS));
    const before = await cpuMsOf(pid);
    const idleMs = bench.sized(IDLE_MS);
    await sleep(idleMs);
    const cpuPercent = (100 * ((await cpuMsOf(pid)) - before)) / idleMs;
    return { rssMb: await memoryMb(pid, 'VmHWM'), nowMb: await memoryMb(pid, 'VmRSS'), cpuPercent };
  });
}

/** Memory after collections, since at this pace the garbage of hours lies about. */
export async function* monthRounds(bench) {
  const takesMs = bench.sized(MONTH_TAKES_MS);
  // The sampler first: its own timer keeps the machine's time.
  const nodeArgs = [...SAMPLER_ARGS, '--import', path.join(import.meta.dirname, 'fastClock.mjs')];
  const env = { ...samplerEnvironment(takesMs), BENCH_CLOCK_FACTOR: String(MONTH_MS / takesMs) };
  yield await withDaemon(bench, nodeArgs, env, async (daemon) => {
    const samples = samplesOf(daemon);
    await sleep(takesMs);
    const figures = { cpuS: (await cpuMsOf(daemon.pid)) / 1000 };
    for (const figure of ['rssMb', 'heapMb', 'descriptors', 'handles']) {
      const { before, after } = growthOf(samples, figure);
      figures[figure] = after;
      figures[`${figure}Grown`] = after - before;
    }
    return figures;
  });
}

/** A daemon whose only run is due on the 29th of February. */
async function withDaemon(bench, nodeArgs, env, measure) {
  const stage = await openStage(bench, { types: TYPES, patients: 1, perSearch: 1 });
  const installation = await stage.installed({ 'schedule.cron': '0 0 29 2 *' });
  const daemon = spawn(process.execPath, [...nodeArgs, CLI, ...installation.args('daemon', '--quiet')], {
    cwd: installation.folder,
    env: { ...plainEnvironment(), ...env },
    stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
  });
  const ended = once(daemon, 'exit');
  try {
    return await Promise.race([
      measure(daemon),
      ended.then(([code]) => {
        throw new Error(`the daemon ended with ${code}`);
      }),
    ]);
  } finally {
    daemon.kill('SIGTERM');
    await ended;
    await installation.remove();
    await stage.close();
  }
}

async function cpuMsOf(pid) {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8');
  const [user, system] = text
    .slice(text.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 13);
  return (Number(user) + Number(system)) * TICK_MS;
}

async function memoryMb(pid, name) {
  const text = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(new RegExp(`${name}:\\s+(\\d+)`).exec(text)[1]) / 1024;
}
