import { describe, expect, it } from 'vitest';
import { RoundsError } from '../../src/errors.ts';
import { ServerGate, type Leave, type ServerGateOptions } from '../../src/fhir/serverGate.ts';
import type { RunEvent } from '../../src/run/events.ts';
import type { Clock } from '../../src/system/clock.ts';
import { silentLog } from '../../src/system/logger.ts';
import { createFakeClock, settle } from '../support/fakeClock.ts';
import { rejection } from '../support/rejection.ts';

const MINUTE = 60_000;

function setUp(given: Partial<ServerGateOptions> = {}) {
  const clock = createFakeClock();
  const events: RunEvent[] = [];
  const controller = new AbortController();
  const { signal } = controller;
  let isBack = false;
  let probes = 0;
  const gate = new ServerGate({
    clock,
    log: silentLog,
    emit: (event) => events.push(event),
    random: () => 0.5,
    signal,
    limits: () => ({ concurrency: 64, requestsPerSecond: 0 }),
    maxOutageMs: 10 * MINUTE,
    afterOutage: 'SERVER_AWAY',
    failuresBeforeProbing: 3,
    probe: async () => {
      probes++;
      return isBack;
    },
    ...given,
  });
  /** Somebody who wants to ask the server; what became of it shows in `ends`. */
  const ends: string[] = [];
  const inside: Leave[] = [];
  const enter = (name: string): void => {
    gate.enter(signal, { name }).then(
      (leave) => {
        inside.push(leave);
        ends.push(`${name} at ${clock.monotonicMs()}`);
      },
      (error: unknown) => ends.push(`${name} ${error instanceof RoundsError ? error.code : String(error)}`),
    );
  };
  const leave: Leave = (sign) => inside.shift()!(sign);
  const bringBack = (): void => void (isBack = true);
  return { clock, events, controller, gate, ends, enter, leave, bringBack, probes: () => probes };
}

describe('the rate', () => {
  it('is kept over all who ask', async () => {
    const limits = () => ({ concurrency: 64, requestsPerSecond: 2 });
    const { clock, enter, ends, gate, leave } = setUp({ limits });
    for (const name of ['a', 'b', 'c', 'd']) enter(name);
    await clock.advance(5_000);
    leave();
    enter('e');
    enter('f');
    await clock.advance(1_000);
    expect(ends).toEqual(['a at 0', 'b at 500', 'c at 1000', 'd at 1500', 'e at 5000', 'f at 5500']);
    expect(gate.waitedMs).toBe(500 + 1_000 + 1_500 + 500);
  });

  it('is kept also after a stall, when all whose time has come wake at once', async () => {
    const clock = createFakeClock();
    // It rings at whole hundreds of milliseconds alone.
    const sleep: Clock['sleep'] = (ms, signal) => {
      const now = clock.monotonicMs();
      return clock.sleep(Math.ceil((now + ms) / 100) * 100 - now, signal);
    };
    const limits = () => ({ concurrency: 64, requestsPerSecond: 100 });
    const { gate } = setUp({ limits, clock: { ...clock, sleep } });
    const starts: number[] = [];
    const { signal } = new AbortController();
    for (let no = 0; no < 5; no++) {
      void gate.enter(signal, {}).then(() => starts.push(clock.monotonicMs()));
    }
    await clock.advance(2_000);
    expect(starts).toHaveLength(5);
    const gaps = starts.slice(1).map((start, no) => start - starts[no]!);
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(10);
  });

  it('is nobody’s concern when there is none', async () => {
    const { enter, ends } = setUp();
    for (const name of ['a', 'b', 'c']) enter(name);
    await settle();
    expect(ends).toEqual(['a at 0', 'b at 0', 'c at 0']);
  });
});

describe('the number at once', () => {
  it('is kept: who comes later waits until somebody leaves, in order', async () => {
    const { clock, enter, ends, leave } = setUp({ limits: () => ({ concurrency: 2, requestsPerSecond: 0 }) });
    for (const name of ['a', 'b', 'c', 'd']) enter(name);
    await clock.advance(1_000);
    expect(ends).toEqual(['a at 0', 'b at 0']);
    leave();
    await clock.advance(1_000);
    leave();
    await settle();
    expect(ends).toEqual(['a at 0', 'b at 0', 'c at 1000', 'd at 2000']);
  });

  it('follows the hour: lower when the peak begins, higher when it ends, and the rate with it', async () => {
    const isPeak = () => clock.monotonicMs() >= MINUTE && clock.monotonicMs() < 2 * MINUTE;
    const { clock, enter, ends, leave } = setUp({
      limits: () =>
        isPeak() ? { concurrency: 1, requestsPerSecond: 0.1 } : { concurrency: 3, requestsPerSecond: 0 },
    });
    for (const name of ['a', 'b', 'c']) enter(name);
    await clock.advance(MINUTE);
    expect(ends).toHaveLength(3);
    for (const name of ['d', 'e', 'f', 'g', 'h']) enter(name);
    leave();
    leave();
    await clock.advance(1_000);
    // One is still inside, and one is the limit now.
    expect(ends).toHaveLength(3);
    leave();
    await clock.advance(1_000);
    leave();
    await clock.advance(20_000);
    expect(ends.slice(3)).toEqual(['d at 61000', 'e at 71000']);
    await clock.advance(MINUTE);
    leave();
    await settle();
    expect(ends.slice(5)).toEqual(['f at 142000', 'g at 142000', 'h at 142000']);
  });

  it('keeps nobody waiting who is told to stop', async () => {
    const { enter, ends, leave, controller } = setUp({
      limits: () => ({ concurrency: 1, requestsPerSecond: 0 }),
    });
    enter('a');
    enter('b');
    await settle();
    controller.abort(new RoundsError('INTERRUPTED', 'stop'));
    // The request under way ends by the same signal, and leaves.
    leave();
    await settle();
    expect(ends).toEqual(['a at 0', 'b INTERRUPTED']);
  });
});

describe('a pause that the server asked for', () => {
  it('holds everybody until its end, the longest of several', async () => {
    const { clock, enter, ends, gate, events } = setUp();
    gate.pauseFor(2_000);
    gate.pauseFor(5_000);
    gate.pauseFor(1_000);
    gate.pauseFor(0);
    enter('a');
    await clock.advance(1_000);
    gate.pauseFor(6_000);
    enter('b');
    await clock.advance(10_000);
    expect(ends.toSorted()).toEqual(['a at 7000', 'b at 7000']);
    expect(events.map((event) => 'ms' in event && event.ms)).toEqual([2_000, 5_000, 6_000]);
    // Asked for again while it lasted: one pause, of 7 s.
    expect(gate.waits).toMatchObject({ pauses: 1, pausedMs: 7_000 });
    gate.pauseFor(500);
    expect(gate.waits).toEqual({ pauses: 2, pausedMs: 7_500, outages: 0, awayMs: 0 });
  });

  it('holds those too who were waiting for their turn', async () => {
    const { clock, enter, ends, gate } = setUp({ limits: () => ({ concurrency: 64, requestsPerSecond: 1 }) });
    enter('a');
    enter('b');
    await clock.advance(500);
    gate.pauseFor(10_000);
    await clock.advance(20_000);
    expect(ends).toEqual(['a at 0', 'b at 10500']);
  });

  it('ends at once for who is told to stop', async () => {
    const { enter, ends, gate, controller } = setUp();
    gate.pauseFor(MINUTE);
    enter('a');
    await settle();
    controller.abort(new RoundsError('INTERRUPTED', 'stop'));
    await settle();
    expect(ends).toEqual(['a INTERRUPTED']);
  });
});

describe('a server that goes away', () => {
  it('counts as away after so many failures in a row, and not before', () => {
    const { gate } = setUp();
    expect([gate.failed(), gate.failed()]).toEqual([false, false]);
    gate.answered();
    expect([gate.failed(), gate.failed(), gate.failed(), gate.failed()]).toEqual([false, false, true, true]);
  });

  it('is asked by a probe alone until it answers, then everybody goes on', async () => {
    const { clock, enter, ends, gate, events, bringBack, probes } = setUp();
    for (let times = 0; times < 3; times++) gate.failed();
    enter('a');
    enter('b');
    await clock.advance(2 * MINUTE);
    expect(ends).toEqual([]);
    const probed = probes();
    expect(probed).toBeGreaterThan(2);
    bringBack();
    await clock.advance(MINUTE);
    expect(probes()).toBe(probed + 1);
    expect(ends).toHaveLength(2);
    expect(events.map(({ event }) => event)).toEqual(['server.paused', 'server.back']);
    expect(gate.waits).toMatchObject({ pauses: 0, outages: 1 });
    expect(gate.waits.awayMs).toBeGreaterThan(2 * MINUTE);
    enter('c');
    await settle();
    expect(ends).toHaveLength(3);
    // It starts to count anew.
    expect(gate.failed()).toBe(false);
  });

  it('is given up after its time, for all who wait and all who come', async () => {
    const { clock, enter, ends, gate, events, probes } = setUp();
    for (let times = 0; times < 3; times++) gate.failed();
    enter('a');
    await clock.advance(10 * MINUTE + 1);
    enter('b');
    await settle();
    expect(ends).toEqual(['a SERVER_AWAY', 'b SERVER_AWAY']);
    expect(clock.monotonicMs()).toBe(10 * MINUTE + 1);
    expect(events.map(({ event }) => event)).toEqual(['server.paused']);
    // Requests that were under way may still fail: nobody is probed for any more.
    const probed = probes();
    for (let times = 0; times < 5; times++) expect(gate.failed()).toBe(true);
    await clock.advance(MINUTE);
    expect(probes()).toBe(probed);
    expect(clock.sleeping).toBe(0);
  });

  it('keeps nobody waiting who is told to stop', async () => {
    const { enter, ends, gate, controller, clock } = setUp();
    for (let times = 0; times < 3; times++) gate.failed();
    enter('a');
    await settle();
    controller.abort(new RoundsError('INTERRUPTED', 'stop'));
    await settle();
    expect(ends).toEqual(['a INTERRUPTED']);
    expect(clock.sleeping).toBe(0);
  });

  it('passes on a probe that cannot be made', async () => {
    const { enter, ends, gate } = setUp({
      probe: () => Promise.reject(new RoundsError('INTERNAL', 'a defect')),
    });
    for (let times = 0; times < 3; times++) gate.failed();
    enter('a');
    await settle();
    expect(ends).toEqual(['a INTERNAL']);
  });
});

describe('a stop', () => {
  it('fails everybody with its first reason, during an outage too, and ends the probing', async () => {
    const { clock, enter, ends, gate, probes, controller } = setUp();
    for (let times = 0; times < 3; times++) gate.failed();
    enter('a');
    await settle();
    gate.stop(new RoundsError('TOKEN_REFUSED', 'refused'));
    gate.stop(new RoundsError('SERVER_AWAY', 'later'));
    enter('b');
    await clock.advance(2 * MINUTE);
    expect(ends.toSorted()).toEqual(['a TOKEN_REFUSED', 'b TOKEN_REFUSED']);
    const probed = probes();
    await clock.advance(5 * MINUTE);
    expect(probes()).toBe(probed);
    expect((await rejection(gate.enter(controller.signal, {}))).code).toBe('TOKEN_REFUSED');
  });
});
