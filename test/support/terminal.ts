import { spawn, spawnSync } from 'node:child_process';
import { CLI, ensureBuilt } from './built.ts';

/** `script` of util-linux makes a pseudo-terminal. */
export const HAS_TERMINAL =
  spawnSync('script', ['--version'], { encoding: 'utf8' }).stdout?.includes('util-linux') ?? false;

/** `fhir-rounds ARGS` on a pseudo-terminal: its exit code and everything that reached the screen. */
export async function runOnTerminal(
  args: readonly string[],
  options: {
    readonly columns?: number;
    readonly env?: Readonly<Record<string, string>>;
    /** What is typed, from the start. */
    readonly input?: string;
    readonly cwd?: string;
  } = {},
): Promise<{ readonly code: number | null; readonly screen: string }> {
  await ensureBuilt();
  const words = [process.execPath, CLI, ...args].map((word) => `'${word}'`).join(' ');
  const command = `stty cols ${options.columns ?? 100} rows 40; exec ${words}`;
  const { PATH = '', HOME = '' } = process.env;
  const child = spawn('script', ['--quiet', '--return', '--command', command, '/dev/null'], {
    cwd: options.cwd,
    env: { PATH, HOME, TERM: 'xterm', ...options.env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let screen = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (screen += text));
  if (options.input !== undefined) child.stdin.write(options.input);
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
  return { code, screen };
}
