import { describe, expect, it } from 'vitest';
import { runCommand, splitWords } from '../../src/system/command.ts';

const NODE = process.execPath;
const never = new AbortController().signal;

describe('the words of a command', () => {
  it.each([
    ['tell --channel rounds', ['tell', '--channel', 'rounds']],
    ['  tell   "two words" \'and three more\' ', ['tell', 'two words', 'and three more']],
    ['"/a folder/tell" --name="a b"c', ['/a folder/tell', '--name=a bc']],
    ['tell "it\'s" \'a "b"\' ""', ['tell', "it's", 'a "b"', '']],
    ['C:\\tools\\tell.exe $HOME `id` ; rm', ['C:\\tools\\tell.exe', '$HOME', '`id`', ';', 'rm']],
    ['', []],
  ])('%s', (text, words) => {
    expect(splitWords(text)).toEqual(words);
  });
});

describe('a program of the site’s', () => {
  const run = (script: string, given: { timeoutMs?: number; signal?: AbortSignal; input?: string } = {}) =>
    runCommand([NODE, '-e', script], {
      input: given.input ?? '',
      timeoutMs: given.timeoutMs ?? 30_000,
      signal: given.signal ?? never,
    });

  it('ends with its own code', async () => {
    expect(await run('process.exit(3)')).toEqual({ code: 3 });
  });

  it('is given its input, and need not read it', async () => {
    const reads =
      'let n = 0; process.stdin.on("data", (d) => (n += d.length)).on("end", () => process.exit(n % 256));';
    expect(await run(reads, { input: 'x'.repeat(1_000_003) })).toEqual({ code: 1_000_003 % 256 });
    expect(await run('process.exit(0)', { input: 'x'.repeat(1_000_000) })).toEqual({ code: 0 });
  });

  it('is killed when it takes too long, or when all ends', async () => {
    expect(await run('setInterval(() => {}, 1000)', { timeoutMs: 200 })).toEqual({ code: undefined });
    const stop = new AbortController();
    const ended = run('setInterval(() => {}, 1000)', { signal: stop.signal });
    stop.abort();
    expect(await ended).toEqual({ code: undefined });
  });

  it('that is not there, or not named, is said', async () => {
    const options = { input: '', timeoutMs: 30_000, signal: never };
    expect(await runCommand(['/nowhere/no-such-program'], options)).toBe('not started');
    expect(await runCommand([], options)).toBe('not started');
  });
});
