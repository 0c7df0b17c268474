import { spawn, type ChildProcess } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { CLI, ensureBuilt } from './built.ts';

/** How a child process ended. */
export interface CliResult {
  /** undefined: a signal ended it. */
  readonly code: number | undefined;
  readonly signal: NodeJS.Signals | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunningCli {
  readonly child: ChildProcess;
  /** What it has written so far. */
  readonly output: { readonly stdout: string; readonly stderr: string };
  readonly ended: Promise<CliResult>;
}

export interface CliOptions {
  readonly cwd?: string;
  /** In addition to PATH and HOME: nothing of the developer's own environment reaches the program. */
  readonly env?: Readonly<Record<string, string>>;
  /** Runs it as this user and group, where the test's process may say so (root). */
  readonly uid?: number;
}

/** Starts `fhir-rounds ...` as a process of its own. */
export async function startCli(args: readonly string[], options: CliOptions = {}): Promise<RunningCli> {
  await ensureBuilt();
  const { PATH = '', HOME = '', TMPDIR = '' } = process.env;
  const child = spawn(process.execPath, [CLI, ...args], {
    cwd: options.cwd,
    env: { PATH, HOME, ...(TMPDIR === '' ? {} : { TMPDIR }), ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(options.uid === undefined ? {} : { uid: options.uid, gid: options.uid }),
  });
  const output = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output.stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output.stderr += text));
  const ended = new Promise<CliResult>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) =>
      resolve({ code: code ?? undefined, signal: signal ?? undefined, ...output }),
    );
  });
  return { child, output, ended };
}

/** Runs `fhir-rounds ...` to its end. */
export async function runCli(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  return (await startCli(args, options)).ended;
}

/** Starts it, and sends `signal` once `condition` holds; it is an error when it ends before. */
export async function stopCliWhen(
  condition: () => boolean | Promise<boolean>,
  signal: NodeJS.Signals,
  args: readonly string[],
  options: CliOptions = {},
): Promise<CliResult> {
  const { child, ended, output } = await startCli(args, options);
  let over = false;
  void ended.then(() => (over = true));
  while (!(await condition())) {
    if (over) throw new Error(`it ended before it was stopped:\n${output.stderr}`);
    await sleep(2);
  }
  child.kill(signal);
  return ended;
}

/** Waits until `condition` holds; fails after `limitMs` with what it waited for. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  limitMs = 20_000,
): Promise<void> {
  const from = performance.now();
  while (!(await condition())) {
    if (performance.now() - from > limitMs) throw new Error(`waited in vain: ${what}`);
    await sleep(10);
  }
}
