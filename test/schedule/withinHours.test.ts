import { describe, expect, it } from 'vitest';
import { RoundsError } from '../../src/errors.ts';
import { createHours } from '../../src/schedule/hours.ts';
import { withinHours } from '../../src/schedule/withinHours.ts';
import { createFakeClock } from '../support/fakeClock.ts';
import { rejection } from '../support/rejection.ts';

const HOUR = 3_600_000;

function setUp(now: string, hours: string | undefined) {
  const clock = createFakeClock({ startMs: Date.parse(`2026-11-${now}Z`) });
  const stop = new AbortController();
  let began = 0;
  /** Works for three hours, unless it is told to stop. */
  const work = async (signal: AbortSignal): Promise<string> => {
    began++;
    await clock.sleep(3 * HOUR, signal);
    return 'done';
  };
  const ended = withinHours(createHours(hours, 'UTC'), { clock, signal: stop.signal }, work);
  ended.catch(() => undefined);
  return { clock, stop, ended, began: () => began };
}

describe('work in hours', () => {
  it('does not begin outside of them, and says when they begin', async () => {
    const { ended, began } = setUp('20T12:00', '19:00-07:00');
    const error = await rejection(ended);
    expect(error).toMatchObject({ code: 'RUN_PAUSED', failure: 'transient' });
    expect(error.message).toContain('2026-11-20T19:00:00.000Z');
    expect(began()).toBe(0);
  });

  it('is told to stop when they end, over midnight too', async () => {
    const { clock, ended } = setUp('21T05:30', '19:00-07:00');
    await clock.advance(1.5 * HOUR);
    expect((await rejection(ended)).code).toBe('RUN_PAUSED');
    expect(clock.sleeping).toBe(0);
  });

  it.each([
    ['that last long enough', '20:00-06:00'],
    ['that never end', undefined],
  ])('comes to its end in hours %s, and leaves nothing behind', async (_, hours) => {
    const { clock, ended } = setUp('20T21:00', hours);
    await clock.advance(3 * HOUR);
    expect(await ended).toBe('done');
    expect(clock.sleeping).toBe(0);
  });

  it('is told what its surroundings are told', async () => {
    const { clock, stop, ended } = setUp('20T21:00', '20:00-06:00');
    await clock.advance(1);
    stop.abort(new RoundsError('INTERRUPTED', 'stop'));
    expect((await rejection(ended)).code).toBe('INTERRUPTED');
    expect(clock.sleeping).toBe(0);
  });
});
