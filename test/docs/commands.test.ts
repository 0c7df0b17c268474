import { createRequire } from 'node:module';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { ERROR_CODES } from '../../src/errors.ts';
import { documents, firstCells, readDocument, ROOT, section } from './markdown.ts';
import { commandLines, complaints, programCommands, type ProgramCommand } from './program.ts';

let commands: readonly ProgramCommand[] = [];
beforeAll(async () => {
  commands = await programCommands();
});

const told = (lines: readonly (readonly string[])[]): readonly string[] =>
  lines.flatMap((line) => complaints(line, commands));

describe('what stands in the documents about commands', () => {
  it.each(documents())('$name: the program takes every command line', ({ name, codeLines, spans }) => {
    const lines = [...codeLines.map(({ line }) => line), ...spans].flatMap((text) => commandLines(text));
    if (name === 'README.md') expect(lines.length).toBeGreaterThan(5);
    expect(told(lines)).toEqual([]);
  });

  it('takes every command with flags that the README writes without the program’s name', () => {
    const first = new Set(commands.map(({ words }) => words[0]));
    const lines = readDocument('README.md')
      .spans.map((span) => span.split(' '))
      .filter((words) => first.has(words[0] ?? '') && words.length > 1);
    expect(lines.length).toBeGreaterThan(3);
    expect(told(lines)).toEqual([]);
  });

  it('has every command in the README’s table, and every flag in that table belongs to its command', () => {
    const body = section(readDocument('README.md'), 'Commands');
    const cells = firstCells(body).join(' ');
    const missing = commands
      .map(({ words }) => words.join(' '))
      .filter((words) => !cells.includes(`\`${words}`));
    expect(missing).toEqual([]);
    for (const row of body.split('\n').filter((line) => line.startsWith('| `'))) {
      const named = commands.filter(({ words }) => row.includes(`\`${words.join(' ')}`));
      const known = new Set(named.flatMap(({ flags }) => [...flags]));
      const flags = [...row.matchAll(/(--[a-z][a-z-]*)/g)].map((m) => m[1]!);
      expect(flags.filter((flag) => !known.has(flag))).toEqual([]);
    }
  });

  it('takes every command line in the errors’ hints', () => {
    const lines = Object.values(ERROR_CODES).flatMap(({ hint }) => commandLines(hint));
    expect(lines.length).toBeGreaterThan(5);
    expect(told(lines)).toEqual([]);
  });

  it('notices an unknown command and an unknown flag', () => {
    expect(told([['rnu'], ['run', '--fersh'], ['keys', 'generate|jsks'], ['keys']])).toHaveLength(4);
    expect(
      told([
        ['run', 'JOB', '[--fresh]', '--config', 'x'],
        ['keys', 'generate|jwks'],
      ]),
    ).toEqual([]);
  });
});

describe('npm scripts', () => {
  const { scripts } = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8')) as {
    scripts: Record<string, string>;
  };

  it.each(documents())('$name names only scripts that there are', ({ codeLines, spans }) => {
    const text = [...codeLines.map(({ line }) => line), ...spans].join('\n');
    const named = [...text.matchAll(/\bnpm (?:run ([a-z][\w:-]*)|(test|start)\b)/g)].map(
      (m) => m[1] ?? m[2]!,
    );
    expect(named.filter((name) => !(name in scripts))).toEqual([]);
  });
});

describe('ecosystem.config.cjs', () => {
  it('starts the daemon and the console, in one process each that is never copied', () => {
    const { apps } = createRequire(import.meta.url)(path.join(ROOT, 'ecosystem.config.cjs')) as {
      apps: { script: string; args: string[]; exec_mode: string; instances: number }[];
    };
    expect(apps.map(({ args }) => args[0])).toEqual(['daemon', 'console']);
    expect(told(apps.map(({ args }) => args))).toEqual([]);
    for (const { script, exec_mode: mode, instances } of apps) {
      expect(path.isAbsolute(script) && existsSync(script)).toBe(true);
      expect([mode, instances]).toEqual(['fork', 1]);
    }
  });
});
