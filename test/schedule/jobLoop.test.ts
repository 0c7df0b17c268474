import { describe, expect, it, onTestFinished } from 'vitest';
import { createHours } from '../../src/schedule/hours.ts';
import {
  JobLoop,
  type Attempt,
  type AttemptEnd,
  type JobFacts,
  type JobRules,
} from '../../src/schedule/jobLoop.ts';
import { createSlots } from '../../src/schedule/slots.ts';
import { createFakeClock } from '../support/fakeClock.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const START = Date.parse('2026-11-20T01:00Z');

interface Given {
  readonly cron?: string;
  readonly hours?: string;
  readonly catchUp?: 'once' | 'skip';
  readonly retryAfterMs?: number;
  readonly facts?: Partial<JobFacts>;
}

/** A loop over a ledger of a few variables; each attempt ends as `ends` says. */
function setUp(given: Given = {}) {
  const clock = createFakeClock({ startMs: START });
  const stop = new AbortController();
  const rulesFor = ({
    cron = '0 2 * * *',
    hours,
    catchUp = 'once',
    retryAfterMs = HOUR,
  }: Given): JobRules => ({
    slots: createSlots(cron, 'UTC'),
    allowedHours: createHours(hours, 'UTC'),
    catchUp,
    retryAfterMs,
    patienceMs: 20 * HOUR,
    firstHoldMs: 5 * MINUTE,
    startTicks: () => ({ close: () => undefined }),
  });
  let rules: JobRules | undefined = rulesFor(given);
  const facts = {
    servedMs: START,
    hasOpenRun: false,
    unfinished: undefined as JobFacts['unfinished'],
    ...given.facts,
  };
  const attempts: (Attempt & { readonly at: string })[] = [];
  const ends: AttemptEnd[] = [];
  const troubles: unknown[] = [];
  let look = async (): Promise<JobFacts> => ({ ...facts });
  const loop = new JobLoop({
    clock,
    signal: stop.signal,
    rules: () => rules,
    look: () => look(),
    attempt: async (attempt) => {
      attempts.push({ ...attempt, at: new Date(clock.now()).toISOString().slice(8, 19) });
      const end = ends.shift() ?? 'closed';
      if (end === 'closed') facts.hasOpenRun = false;
      return end;
    },
    markServed: async (slotMs) => void (facts.servedMs = slotMs),
    failed: (error) => troubles.push(error),
  });
  const ended = loop.run();
  onTestFinished(async () => {
    stop.abort();
    await ended;
  });
  return {
    ...{ clock, loop, facts, attempts, ends, troubles, ended, stop },
    times: () => attempts.map((attempt) => attempt.at),
    setRules: (next: Given | undefined) => void (rules = next && rulesFor(next)),
    breakLook: (next: typeof look) => void (look = next),
  };
}

describe('a job’s loop', () => {
  it('serves each slot once, without anybody to ring', async () => {
    const { clock, times } = setUp();
    await clock.advance(3 * 24 * HOUR);
    expect(times()).toEqual(['20T02:00:00', '21T02:00:00', '22T02:00:00']);
  });

  it('sleeps a minute at most, and looks at the wall’s clock then', async () => {
    const { clock } = setUp();
    await clock.advance(2 * HOUR);
    expect(Math.max(...clock.sleeps)).toBe(MINUTE);
  });

  it('waits for a lock, and serves the slot once it is free', async () => {
    const { clock, ends, times, attempts } = setUp({ catchUp: 'skip' });
    ends.push(...Array.from({ length: 600 }, () => 'waiting' as const));
    await clock.advance(3 * HOUR);
    expect(attempts).toHaveLength(601);
    expect(times().at(-1)).toBe('20T02:20:00');
    // It was not missed: it was seen in time.
    expect(attempts.at(-1)!.missed).toBeUndefined();
  });

  it('holds ever longer while a server is away, patiently, and forgets it when it is back', async () => {
    const { clock, ends, times, attempts, loop } = setUp();
    ends.push('away', 'away', 'away');
    await clock.advance(HOUR + 10 * MINUTE);
    expect(loop.isAway).toBe(true);
    await clock.advance(HOUR);
    expect(times()).toEqual(['20T02:00:00', '20T02:05:00', '20T02:15:00', '20T02:35:00']);
    expect(attempts.every(({ patient }) => patient)).toBe(true);
    expect(loop.isAway).toBe(false);
  });

  it('loses its patience after resume_within_hours, once', async () => {
    const { clock, ends, attempts } = setUp();
    ends.push(...Array.from({ length: 24 }, () => 'away' as const));
    await clock.advance(23 * HOUR);
    const impatient = attempts.filter(({ patient }) => !patient);
    expect(impatient[0]?.at).toBe('20T22:15:00');
  });

  it('leaves an interrupted run to its own limit, and begins to count anew when that has struck', async () => {
    const { clock, ends, facts, attempts } = setUp({ facts: { hasOpenRun: true } });
    ends.push(...Array.from({ length: 60 }, () => 'away' as const));
    await clock.advance(21 * HOUR);
    facts.hasOpenRun = false;
    await clock.advance(19 * HOUR);
    expect(attempts.filter(({ patient }) => !patient)).toEqual([]);
  });

  it('tries a run that could not begin again by the retry’s wait, and at the next slot', async () => {
    const { clock, ends, times } = setUp();
    ends.push(...Array.from({ length: 6 }, () => 'refused' as const));
    await clock.advance(25.5 * HOUR);
    expect(times()).toEqual([
      '20T02:00:00',
      '20T03:00:00',
      '20T05:00:00',
      '20T09:00:00',
      '20T17:00:00',
      '21T02:00:00',
    ]);
  });

  it('leaves it to the next slot where nothing is to be retried', async () => {
    const { clock, ends, times } = setUp({ retryAfterMs: 0 });
    ends.push('refused', 'refused');
    await clock.advance(50 * HOUR);
    expect(times()).toEqual(['20T02:00:00', '21T02:00:00', '22T02:00:00']);
  });

  it('is woken by a change, and tries at once what was held', async () => {
    const { clock, ends, times, loop } = setUp();
    ends.push('refused');
    await clock.advance(HOUR + 7 * MINUTE);
    loop.wake();
    await clock.advance(1_000);
    expect(times()).toEqual(['20T02:00:00', '20T02:07:00']);
  });

  it('makes up for slots that passed while nobody looked, and says so', async () => {
    const { clock, attempts } = setUp({ facts: { servedMs: START - 48 * HOUR } });
    await clock.advance(1);
    expect(attempts).toMatchObject([{ missed: { count: 2, firstMs: Date.parse('2026-11-18T02:00Z') } }]);
  });

  it('goes on with an interrupted run, and serves the slot that came since by one of its own', async () => {
    const { clock, facts, attempts } = setUp({ facts: { servedMs: START - 24 * HOUR, hasOpenRun: true } });
    await clock.advance(1);
    expect(attempts).toHaveLength(2);
    expect(facts.servedMs).toBe(Date.parse('2026-11-19T02:00Z'));
  });

  it('follows other rules from the next look on, and ends when there are none', async () => {
    const { clock, setRules, times, ended, loop } = setUp();
    setRules({ cron: '30 1 * * *' });
    loop.wake();
    await clock.advance(HOUR + MINUTE);
    expect(times()).toEqual(['20T01:30:00']);
    setRules(undefined);
    loop.wake();
    await ended;
  });

  it('survives a ledger that cannot be read, and tries again in a minute', async () => {
    const { clock, breakLook, troubles, times, facts } = setUp();
    breakLook(() => Promise.reject(new Error('locked')));
    await clock.advance(2 * HOUR);
    expect(troubles.length).toBeGreaterThan(50);
    breakLook(async () => ({ ...facts }));
    await clock.advance(MINUTE);
    expect(times()).toHaveLength(1);
  });
});
