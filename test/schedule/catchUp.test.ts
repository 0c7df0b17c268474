import { describe, expect, it } from 'vitest';
import {
  holdAfter,
  nextStep,
  servedThrough,
  type Missed,
  type Moment,
  type ScheduleRules,
  type Step,
} from '../../src/schedule/catchUp.ts';
import { createHours } from '../../src/schedule/hours.ts';
import { createSlots } from '../../src/schedule/slots.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const at = (text: string): number => Date.parse(`2026-11-${text}Z`);

interface Given extends Partial<Omit<Moment, 'nowMs' | 'servedMs'>> {
  readonly now: string;
  readonly served?: string;
  readonly cron?: string;
  readonly catchUp?: 'once' | 'skip';
  readonly hours?: string;
  readonly retryAfterMs?: number;
}

function decide(given: Given) {
  const { now, served = '20T02:00', cron = '0 2 * * *', catchUp = 'once', hours, ...rest } = given;
  const { retryAfterMs = HOUR, ...moment } = rest;
  const rules: ScheduleRules = {
    slots: createSlots(cron, 'UTC'),
    allowedHours: createHours(hours, 'UTC'),
    catchUp,
    retryAfterMs,
  };
  return nextStep(
    {
      nowMs: at(now),
      servedMs: at(served),
      hasOpenRun: false,
      unfinished: undefined,
      noticedMs: undefined,
      holdUntilMs: 0,
      ...moment,
    },
    rules,
  );
}

const run = (slot: string | undefined, missed?: Missed): Step => ({
  do: 'run',
  slotMs: slot === undefined ? undefined : at(slot),
  missed,
});
const wait = (until: string): Step => ({ do: 'wait', untilMs: at(until) });

describe('a slot', () => {
  it.each<readonly [string, Given, Step]>([
    ['that was served waits for the next', { now: '20T03:00' }, wait('21T02:00')],
    ['that is due is run', { now: '21T02:00' }, run('21T02:00')],
    ['that is due a moment late is on time', { now: '21T02:04' }, run('21T02:00')],
    [
      'that was missed is caught up once, and said',
      { now: '21T09:00' },
      run('21T02:00', { count: 1, firstMs: at('21T02:00') }),
    ],
    [
      'of several that were missed the newest is run, and all are said',
      { now: '24T09:00' },
      run('24T02:00', { count: 4, firstMs: at('21T02:00') }),
    ],
    [
      'that was missed is passed over when the INI says so',
      { now: '24T09:00', catchUp: 'skip' },
      { do: 'pass-over', slotMs: at('24T02:00') },
    ],
    [
      'that is due is run also when what was missed is passed over',
      { now: '24T02:00:01', catchUp: 'skip' },
      run('24T02:00', { count: 3, firstMs: at('21T02:00') }),
    ],
    [
      'that had to wait was not missed',
      { now: '21T09:00', catchUp: 'skip', noticedMs: at('21T02:00') },
      run('21T02:00'),
    ],
    ['outside of the hours waits for them', { now: '21T09:00', hours: '19:00-07:00' }, wait('21T19:00')],
    [
      'outside of the hours waits for them, and gives way to the next slot',
      { now: '21T09:00', hours: '19:00-07:00', cron: '0 10 * * *', served: '19T10:00' },
      wait('21T10:00'),
    ],
    [
      'is run in the hours over midnight',
      { now: '21T23:30', hours: '19:00-07:00', noticedMs: at('21T02:00') },
      run('21T02:00'),
    ],
    ['waits while the server is away', { now: '21T02:30', holdUntilMs: at('21T02:45') }, wait('21T02:45')],
  ])('%s', (_, given, step) => {
    expect(decide(given)).toEqual(step);
  });

  it('counts what was missed to a thousand and no further', () => {
    const step = decide({ cron: '* * * * * *', now: '24T09:00' });
    expect(step).toMatchObject({ do: 'run', slotMs: at('24T09:00'), missed: { count: 1000 } });
  });
});

describe('an interrupted run', () => {
  it('goes on at once, whatever the schedule says', () => {
    expect(decide({ now: '20T03:00', hasOpenRun: true })).toEqual(run(undefined));
    expect(decide({ now: '20T03:00', hasOpenRun: true, catchUp: 'skip' })).toEqual(run(undefined));
  });

  it('waits for its hours, and for the server', () => {
    expect(decide({ now: '20T09:00', hasOpenRun: true, hours: '19:00-07:00' })).toEqual(wait('20T19:00'));
    expect(decide({ now: '20T03:00', hasOpenRun: true, holdUntilMs: at('20T03:05') })).toEqual(
      wait('20T03:05'),
    );
  });
});

describe('failed searches', () => {
  const unfinished = (runsSinceSlot: number, finished = '20T03:00') => ({
    finishedAtMs: at(finished),
    runsSinceSlot,
    isPublished: true,
  });

  it.each<readonly [string, Given, Step]>([
    ['wait their time', { now: '20T03:30', unfinished: unfinished(1) }, wait('20T04:00')],
    ['are asked again', { now: '20T04:00', unfinished: unfinished(1) }, { do: 'retry-failed' }],
    ['wait longer each time', { now: '20T04:00', unfinished: unfinished(3) }, wait('20T07:00')],
    ['are left at last to the next slot', { now: '20T12:00', unfinished: unfinished(6) }, wait('21T02:00')],
    [
      'are left to the next slot where that comes first',
      { now: '20T03:10', unfinished: unfinished(1), cron: '30 3 * * *' },
      wait('20T03:30'),
    ],
    [
      'are not asked again when the INI says so',
      { now: '20T12:00', unfinished: unfinished(1), retryAfterMs: 0 },
      wait('21T02:00'),
    ],
    [
      'are asked in the hours alone',
      { now: '20T07:30', unfinished: unfinished(1, '20T06:30'), hours: '19:00-07:00' },
      wait('20T19:00'),
    ],
    ['give way to a slot', { now: '21T02:00', unfinished: unfinished(1) }, run('21T02:00')],
  ])('%s', (_, given, step) => {
    expect(decide(given)).toEqual(step);
  });

  it('of a run that published nothing are asked by a whole run', () => {
    expect(decide({ now: '20T04:00', unfinished: { ...unfinished(1), isPublished: false } })).toEqual(
      run(undefined),
    );
  });
});

it('holds twice as long each time, for an hour at most', () => {
  expect([1, 2, 3, 4, 5, 6, 500].map((times) => holdAfter(times, 5 * MINUTE) / MINUTE)).toEqual([
    5, 10, 20, 40, 60, 60, 60,
  ]);
});

describe('what is served', () => {
  it.each([
    ['is what was noted', at('20T02:00'), undefined, at('20T12:00'), at('20T02:00')],
    [
      'is also what a run by hand served since',
      at('20T02:00'),
      at('20T09:00'),
      at('20T12:00'),
      at('20T09:00'),
    ],
    [
      'is not run twice by a clock that was set back',
      at('20T02:00'),
      undefined,
      at('20T01:00'),
      at('20T02:00'),
    ],
    ['is none of a clock that was wrong by days', at('27T02:00'), undefined, at('20T01:00'), at('20T01:00')],
    [
      'is what is left of two, one of them wrong',
      at('27T02:00'),
      at('19T02:00'),
      at('20T01:00'),
      at('19T02:00'),
    ],
  ])('%s', (_, noted, started, now, through) => {
    expect(servedThrough(noted, started, now)).toBe(through);
  });
});
