import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CommandContext, Terminal } from '../../src/commands/context.ts';
import { showProgress } from '../../src/commands/progress.ts';
import { advance, leftMs, NOTHING_YET, rateOf } from '../../src/commands/progressState.ts';
import { liveLines, plainLine } from '../../src/commands/progressView.ts';
import type { RunEvent } from '../../src/run/events.ts';
import { createFakeClock } from '../support/fakeClock.ts';
import { makeSite, type Site } from '../support/site.ts';
import { HAS_TERMINAL, runOnTerminal } from '../support/terminal.ts';

const ESCAPE = '\x1b';

const progress = (done: number, failed = 0): RunEvent => ({
  event: 'run.progress',
  searches: { planned: 200, ok: done, empty: 0, gap: 1, failed },
  records: done * 10,
  bytes: done * 1000,
  types: [
    { resourceType: 'Patient', searches: { planned: 100, ok: 99, empty: 0, gap: 1, failed: 0 }, records: 99 },
    { resourceType: 'Condition', searches: { planned: 100, ok: 9, empty: 0, gap: 0, failed }, records: 900 },
  ],
});
const after = (...events: readonly (readonly [atMs: number, event: RunEvent])[]) =>
  events.reduce((state, [atMs, event]) => advance(state, event, atMs), NOTHING_YET);

describe('what is known of a run at work', () => {
  it('takes the rate from the last minute, and the time left from the rate', () => {
    const state = after(
      [0, progress(0)],
      [1_000, progress(90)],
      [90_000, progress(91)],
      [120_000, progress(121)],
    );
    expect(rateOf(state)).toBe(1);
    expect(leftMs(state)).toBe(78_000);
  });

  it('promises no end where nothing moves or too little is known', () => {
    expect(leftMs(NOTHING_YET)).toBeUndefined();
    expect(leftMs(after([0, progress(5)], [30_000, progress(5)]))).toBeUndefined();
    expect(leftMs(after([0, progress(5)], [500, progress(50)]))).toBeUndefined();
  });

  it('knows a pause and why, until the server is back or its rest is over', () => {
    const away = after([0, progress(5)], [10_000, { event: 'server.paused', ms: 0, reason: 'away' }]);
    expect(plainLine(away, 75_000)).toContain(
      'paused: the server is away; it is looked for until it is back, for 1 min 05 s',
    );
    expect(advance(away, { event: 'server.back', awayMs: 65_000 }, 75_000).pause).toBeUndefined();
    const asked = after([0, progress(5)], [0, { event: 'server.paused', ms: 30_000, reason: 'asked' }]);
    expect(plainLine(asked, 10_000)).toContain('the server asks for rest, 20 s to go');
  });
});

describe('the live view', () => {
  const state = after([0, progress(0)], [10_000, progress(100, 3)]);

  it('shows the whole and each type, those in trouble first', () => {
    const [whole, first, second] = liveLines(state, 10_000, { columns: 200, rows: 40, colour: false });
    expect(whole).toMatch(
      /^\[#{12}\.{12}\] 52 % {2}104\/200 searches, 1,000 resources, 100 kB, 10\.3\/s, 9\.3 s left, 1 gap, 3 failed$/,
    );
    expect(first).toMatch(/^ {2}Condition +12\/100 {2}900 resources, 3 failed$/);
    expect(second).toMatch(/^ {2}Patient +done {2}99 resources, 1 gap$/);
  });

  it.each([1, 5, 20, 40, 80, 500])(
    'is never wider than a terminal of %d columns, nor higher than half of it',
    (columns) => {
      for (const colour of [true, false]) {
        const lines = liveLines(state, 10_000, { columns, rows: 4, colour });
        expect(lines.length).toBeLessThanOrEqual(2);
        for (const line of lines)
          expect(
            line
              .split(ESCAPE)
              .map((part, n) => (n === 0 ? part : part.replace(/^\[\d+m/, '')))
              .join('').length,
          ).toBeLessThan(Math.max(2, columns));
      }
    },
  );

  it('has no colour where none is wanted', () => {
    expect(liveLines(state, 0, { columns: 80, rows: 40, colour: false }).join('')).not.toContain(ESCAPE);
    expect(liveLines(state, 0, { columns: 80, rows: 40, colour: true }).join('')).toContain('\x1b[31m');
  });

  it('draws over what it drew, but not after a resize, when nobody knows how many rows that takes now', () => {
    const written: string[] = [];
    let resized = (): void => undefined;
    const terminal: Terminal = {
      write: (text) => void written.push(text),
      size: () => ({ columns: 80, rows: 40 }),
      onResize: (listener) => (resized = listener),
    };
    const context = { terminal, json: false, quiet: false, useColour: false, note: () => undefined };
    const { emit, end } = showProgress(context as unknown as CommandContext, createFakeClock());
    emit(progress(1));
    emit(progress(2));
    resized();
    emit(progress(3));
    emit(progress(4));
    end();
    emit(progress(5));
    const up = written.map((text) => text.startsWith('\x1b[3A\r\x1b[J'));
    expect(up).toEqual([false, true, false, true]);
  });
});

describe('run', () => {
  let site: Site;
  beforeAll(async () => {
    site = await makeSite({ sandbox: { patients: 3, smtp: false }, mail: false });
  });
  afterAll(() => site.close());

  it('writes plain lines into a pipe', async () => {
    const { code, stderr } = await site.run(['run']);
    expect(code).toBe(0);
    expect(stderr).not.toContain(ESCAPE);
    expect(stderr).toMatch(/^run \S+: 3 patients, 6 searches$/m);
    expect(stderr).toMatch(/^6\/6 searches|^[1-6]\/6 searches/m);
  });

  it('with --json writes events to stderr and the summary to stdout, a JSON object a line', async () => {
    site.sandbox.setFaults([{ match: { endpoint: 'search' }, when: { first: 1 }, then: { status: 403 } }]);
    const { code, stdout, stderr } = await site.run(['run', '--json']);
    site.sandbox.setFaults([]);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ status: 'complete', searches: { gap: 1 } });
    const events = stderr
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { event: string; at: string });
    const names = new Set(events.map(({ event }) => event));
    for (const name of ['run.started', 'run.progress', 'search.gap', 'run.phase', 'run.closed']) {
      expect(names).toContain(name);
    }
    expect(events.at(-1)).toMatchObject({ event: 'run.closed', status: 'complete' });
    expect(events.find(({ event }) => event === 'run.progress')).toMatchObject({
      at: expect.stringMatching(/^\d{4}-.*Z$/) as string,
      types: [{ resourceType: 'Patient' }, { resourceType: 'Condition' }],
    });
  });

  it('with --json ends in a JSON error on both, and with --quiet says nothing on stderr', async () => {
    const refused = await site.run(['run', 'monthly', '--json']);
    expect(refused.code).toBe(2);
    expect(JSON.parse(refused.stdout)).toMatchObject({ error: { code: 'USAGE' } });
    expect(JSON.parse(refused.stderr)).toMatchObject({ event: 'error', code: 'USAGE' });
    const quiet = await site.run(['run', '--json', '--quiet']);
    expect(quiet).toMatchObject({ code: 0, stderr: '' });
  });

  // `script` makes a terminal of the width that `stty` sets in it.
  describe.runIf(HAS_TERMINAL)('on a terminal', () => {
    it.each([
      { how: 'draws a live view', columns: 100, env: {}, live: true, colour: true },
      {
        how: 'draws no colour with NO_COLOR',
        columns: 100,
        env: { NO_COLOR: '1' },
        live: true,
        colour: false,
      },
      { how: 'survives a narrow one', columns: 12, env: {}, live: true, colour: true },
      {
        how: 'writes plain lines on a dumb one',
        columns: 100,
        env: { TERM: 'dumb' },
        live: false,
        colour: false,
      },
    ])('$how', async ({ columns, env, live, colour }) => {
      site.sandbox.setFaults([{ match: { endpoint: 'search' }, when: { first: 1 }, then: { status: 403 } }]);
      const { code, screen } = await runOnTerminal(['run', '--config', site.configFile], { columns, env });
      site.sandbox.setFaults([]);
      expect(code, screen).toBe(0);
      expect(screen).toContain('OK');
      expect(screen.includes('\x1b[J'), 'draws over').toBe(live);
      expect(screen.includes('\x1b[33m'), 'has colours').toBe(colour);
      if (!live) expect(screen).toMatch(/\d\/6 searches/);
    });
  });
});
