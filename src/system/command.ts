import { spawn } from 'node:child_process';

/** What a program of somebody else's may know of our environment: no setting of ours, and so no secret. */
const PASSED_ON = [
  ...['PATH', 'HOME', 'USER', 'LANG', 'LC_ALL', 'TZ', 'TMPDIR'],
  ...['SystemRoot', 'TEMP', 'USERPROFILE', 'PATHEXT'],
];

/** The words of a command line: separated by blanks, or quoted by " or '. Nothing else has a meaning. */
export function splitWords(text: string): readonly string[] {
  const words = text.match(/(?:[^\s"']+|"[^"]*"|'[^']*')+/g) ?? [];
  return words.map((word) => word.replace(/"([^"]*)"|'([^']*)'/g, '$1$2'));
}

/** `code` undefined: a signal ended it, or it took too long; `not started`: there is no such program. */
export type CommandEnd = { readonly code: number | undefined } | 'not started';

/**
 * Runs a program with `input` on its stdin, without a shell. What it writes goes nowhere: it could be anything. It is
 * killed after `timeoutMs`, or when the signal is aborted. Never throws.
 */
export async function runCommand(
  words: readonly string[],
  options: { readonly input: string; readonly timeoutMs: number; readonly signal: AbortSignal },
): Promise<CommandEnd> {
  const [program, ...args] = words;
  if (program === undefined || options.signal.aborted) return 'not started';
  const env = Object.fromEntries(PASSED_ON.map((name) => [name, process.env[name]]));
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      env,
      stdio: ['pipe', 'ignore', 'ignore'],
      shell: false,
      windowsHide: true,
    });
    const kill = (): void => void child.kill('SIGKILL');
    options.signal.addEventListener('abort', kill, { once: true });
    // spawn's own `timeout` keeps the process alive when there is no such program (seen in Node 20).
    const timer = setTimeout(kill, options.timeoutMs);
    const end = (how: CommandEnd): void => {
      clearTimeout(timer);
      options.signal.removeEventListener('abort', kill);
      resolve(how);
    };
    child.once('error', () => end('not started'));
    child.once('exit', (code) => end({ code: code ?? undefined }));
    // Who does not read its stdin to the end closes it early.
    child.stdin.on('error', () => undefined);
    child.stdin.end(options.input);
  });
}
