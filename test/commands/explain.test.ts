import { describe, expect, it } from 'vitest';
import { OAUTH_ERRORS } from '../../src/auth/tokenAnswer.ts';
import { explainedCodes } from '../../src/commands/explain.ts';
import { ERROR_CODES } from '../../src/errors.ts';
import { EPIC_CODES } from '../../src/fhir/epicCodes.ts';
import { commandLines, complaints, programCommands } from '../docs/program.ts';
import { runCli } from '../support/cli.ts';

describe('every code', () => {
  const codes = explainedCodes();

  it('of ours, of Epic’s and of OAuth’s is there, once', () => {
    const wanted = [...Object.keys(ERROR_CODES), ...EPIC_CODES.keys(), ...OAUTH_ERRORS];
    expect(codes.map(({ code }) => code).toSorted()).toEqual(wanted.toSorted());
    expect(new Set(wanted.map((code) => code.toLowerCase())).size).toBe(wanted.length);
  });

  it.each(codes)('$code has a cause and a remedy, in whole sentences', ({ cause, remedy }) => {
    for (const text of [cause, remedy]) {
      expect(text).toMatch(/^[A-Z`].{9,}[.)]$/);
      expect(text).not.toMatch(/undefined|\bTODO\b|look its code up/);
    }
    expect(cause).not.toBe(remedy);
  });

  it('names only commands that there are', async () => {
    const commands = await programCommands();
    const lines = codes.flatMap(({ cause, remedy }) => commandLines(`${cause} ${remedy}`));
    expect(lines.length).toBeGreaterThan(10);
    expect(lines.flatMap((line) => complaints(line, commands))).toEqual([]);
  });
});

describe('explain', () => {
  it('tells one code, whoever’s it is and however it is written, and what it becomes', async () => {
    const epic = await runCli(['explain', '59108']);
    expect(epic.code).toBe(0);
    expect(epic.stdout).toMatch(/^59108 \(Epic\)\ncause: .*category or code[^]*FHIR_PARAMETER_REFUSED/);
    const oauth = await runCli(['explain', 'INVALID_CLIENT', '--json']);
    expect(JSON.parse(oauth.stdout)).toMatchObject({
      code: 'invalid_client',
      becomes: 'TOKEN_INVALID_CLIENT',
    });
    const ours = await runCli(['explain', 'lock_held']);
    expect(ours.stdout).toContain('fhir-rounds status');
  });

  it('lists all without a code, needs no INI, and suggests the nearest for an unknown one', async () => {
    const all = await runCli(['explain'], { cwd: '/' });
    expect(all.code).toBe(0);
    expect(all.stdout.trimEnd().split('\n')).toHaveLength(explainedCodes().length);
    const unknown = await runCli(['explain', 'LOCK_HOLD']);
    expect(unknown.code).toBe(2);
    expect(unknown.stderr).toContain('did you mean LOCK_HELD?');
  });
});
