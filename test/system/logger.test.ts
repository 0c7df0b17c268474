import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { isWindows } from '../../src/system/files.ts';
import { openLog, silentLog, type LogOptions } from '../../src/system/logger.ts';
import { rejection } from '../support/rejection.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

async function open(given: Partial<LogOptions> = {}) {
  const folder = path.join(await temporaryFolder(), 'logs');
  const log = await openLog({ level: 'info', target: 'file', folder, human: false, ...given });
  const lines = async (): Promise<readonly Record<string, unknown>[]> => {
    const text = await readFile(path.join(folder, 'fhir-rounds.log'), 'utf8');
    return text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  };
  return { folder, log, lines };
}

describe('openLog', () => {
  it('writes a line of JSON for each event, all of them by the time it is closed', async () => {
    const { log, lines } = await open();
    for (let no = 0; no < 500; no++) log.info('run.started', { no, text: 'a\nb "c"', nothing: undefined });
    await log.close();
    const written = await lines();
    expect(written).toHaveLength(500);
    expect(written[499]).toEqual({
      at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      level: 'info',
      event: 'run.started',
      no: 499,
      text: 'a\nb "c"',
    });
  });

  it('leaves out what is below its level, and carries what a child is bound to', async () => {
    const { log, lines } = await open({ level: 'warn' });
    const child = log.child({ jobName: 'default' }).child({ runId: 'r' });
    child.debug('a');
    child.info('b');
    child.warn('c', { code: 'TIMEOUT' });
    child.error('d');
    await log.close();
    expect(
      (await lines()).map(({ level, event, jobName, runId, code }) => [level, event, jobName, runId, code]),
    ).toEqual([
      ['warn', 'c', 'default', 'r', 'TIMEOUT'],
      ['error', 'd', 'default', 'r', undefined],
    ]);
  });

  it('appends to what is there', async () => {
    const { folder, log, lines } = await open();
    log.info('first');
    await log.close();
    const again = await openLog({ level: 'info', target: 'file', folder, human: false });
    again.info('second');
    await again.close();
    expect((await lines()).map(({ event }) => event)).toEqual(['first', 'second']);
  });

  it('begins a new file when one is full, and keeps so many', async () => {
    const { folder, log } = await open({ maxBytes: 2_000, maxFiles: 3 });
    for (let no = 0; no < 200; no++) {
      log.info('a.line.of.the.log', { no });
      if (no % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 2));
    }
    await log.close();
    const names = await readdir(folder);
    expect(names).toContain('fhir-rounds.log');
    expect(names.length).toBeGreaterThan(1);
    expect(names.length).toBeLessThanOrEqual(3);
    if (isWindows) return;
    for (const name of names) {
      expect([name, (await stat(path.join(folder, name))).mode & 0o777]).toEqual([name, 0o600]);
    }
  });

  it('says that its folder cannot be written', async () => {
    const file = path.join(await temporaryFolder(), 'file');
    await writeFile(file, '');
    const opening = openLog({ level: 'info', target: 'file', folder: file, human: false });
    expect((await rejection(opening)).code).toBe('PATH_UNUSABLE');
  });
});

describe('silentLog', () => {
  it('is its own child', () => {
    expect(silentLog.child({ a: 1 })).toBe(silentLog);
  });
});
