import { expect, it } from 'vitest';
import { Bell } from '../../src/schedule/bell.ts';
import { createFakeClock, settle } from '../support/fakeClock.ts';

function setUp() {
  const clock = createFakeClock();
  const bell = new Bell(clock);
  const stop = new AbortController();
  const woken: number[] = [];
  const sleep = (): void => void bell.sleep(1_000, stop.signal).then(() => woken.push(clock.monotonicMs()));
  return { clock, bell, stop, woken, sleep };
}

it('wakes at its time, or when it is rung, or when it is told to stop', async () => {
  const { clock, bell, stop, woken, sleep } = setUp();
  sleep();
  await clock.advance(1_000);
  sleep();
  await clock.advance(10);
  bell.ring();
  await settle();
  sleep();
  stop.abort();
  await settle();
  sleep();
  await settle();
  expect(woken).toEqual([1_000, 1_010, 1_010, 1_010]);
  expect(clock.sleeping).toBe(0);
});

it('is heard, once, by who comes after it was rung', async () => {
  const { clock, bell, woken, sleep } = setUp();
  bell.ring();
  bell.ring();
  sleep();
  await settle();
  sleep();
  await clock.advance(1_000);
  expect(woken).toEqual([0, 1_000]);
});
