import { describe, expect, it } from 'vitest';
import { isoInstant, systemClock } from '../../src/system/clock.ts';

describe('systemClock', () => {
  it('sleeps, and not for a negative time', async () => {
    await systemClock.sleep(1);
    await systemClock.sleep(-5);
    expect(systemClock.monotonicMs()).toBeGreaterThan(0);
  });

  it('wakes with the signal’s reason, before and during a sleep, however long that was to be', async () => {
    const reason = new Error('stop');
    await expect(systemClock.sleep(1, AbortSignal.abort(reason))).rejects.toBe(reason);
    const controller = new AbortController();
    const sleep = systemClock.sleep(2 ** 40, controller.signal);
    controller.abort(reason);
    await expect(sleep).rejects.toBe(reason);
  });

  it('does not take a sleep of more than 24 days for none', async () => {
    const controller = new AbortController();
    let ended = false;
    const sleep = systemClock.sleep(2 ** 32, controller.signal).then(
      () => (ended = true),
      () => undefined,
    );
    await systemClock.sleep(30);
    expect(ended).toBe(false);
    controller.abort();
    await sleep;
  });

  it('keeps to this century', () => {
    expect(isoInstant(systemClock.now())).toMatch(/^20\d\d-/);
    expect(isoInstant(0)).toBe('1970-01-01T00:00:00.000Z');
  });
});
