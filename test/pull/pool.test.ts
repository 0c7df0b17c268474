import { getEventListeners } from 'node:events';
import { describe, expect, it, onTestFinished } from 'vitest';
import { forEachConcurrent, inLanes } from '../../src/pull/pool.ts';
import { systemClock } from '../../src/system/clock.ts';
import { settle } from '../support/fakeClock.ts';

/** Numbers from 0, and how many of them were asked for. */
function numbers(upTo: number): {
  source: AsyncGenerator<number>;
  taken: () => number;
  returned: () => boolean;
} {
  let taken = 0;
  let returned = false;
  async function* source(): AsyncGenerator<number> {
    try {
      while (taken < upTo) yield taken++;
    } finally {
      returned = true;
    }
  }
  return { source: source(), taken: () => taken, returned: () => returned };
}

const never = new AbortController().signal;

describe('forEachConcurrent', () => {
  it('does every item once, never more than allowed at a time', async () => {
    const { source } = numbers(50);
    const done: number[] = [];
    let running = 0;
    let most = 0;
    await forEachConcurrent(source, 4, never, async (item) => {
      most = Math.max(most, ++running);
      await settle();
      done.push(item);
      running--;
    });
    expect(done.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, item) => item));
    expect(most).toBe(4);
  });

  it('takes an item only when there is room for it', async () => {
    const { source, taken } = numbers(50);
    const releases: (() => void)[] = [];
    const end = forEachConcurrent(
      source,
      3,
      never,
      () => new Promise<void>((resolve) => releases.push(resolve)),
    );
    await settle();
    expect(taken()).toBe(3);
    releases[0]!();
    await settle();
    expect(taken()).toBe(4);
    while (taken() < 50 || releases.length < 50) {
      for (const release of releases) release();
      await settle();
    }
    for (const release of releases) release();
    await end;
  });

  it('does fewer items than workers, and none', async () => {
    const done: number[] = [];
    await forEachConcurrent(numbers(2).source, 8, never, async (item) => void done.push(item));
    await forEachConcurrent(numbers(0).source, 8, never, async (item) => void done.push(item));
    expect(done).toEqual([0, 1]);
  });

  it('begins nothing after a failure, lets what runs end, and rejects with the failure that came first', async () => {
    const { source, taken, returned } = numbers(50);
    const ended: number[] = [];
    let failFirst: (error: Error) => void = () => undefined;
    const end = forEachConcurrent(source, 3, never, async (item) => {
      if (item === 0) await new Promise((_, reject) => (failFirst = reject));
      if (item === 1) throw new Error('the disk is full');
      await settle();
      ended.push(item);
    });
    await settle();
    failFirst(new Error('later, and so not the cause'));
    await expect(end).rejects.toThrow('the disk is full');
    expect(ended).toEqual([2]);
    expect(taken()).toBe(3);
    expect(returned()).toBe(true);
  });

  it('rejects with the failure of its source', async () => {
    async function* source(): AsyncGenerator<number> {
      yield 1;
      throw new Error('the roster cannot be read');
    }
    const done: number[] = [];
    const end = forEachConcurrent(source(), 4, never, async (item) => void done.push(item));
    await expect(end).rejects.toThrow('the roster cannot be read');
    expect(done).toEqual([1]);
  });

  it('begins nothing after an abort, not even what was being fetched', async () => {
    const controller = new AbortController();
    let give: (item: number) => void = () => undefined;
    async function* source(): AsyncGenerator<number> {
      yield 0;
      yield await new Promise<number>((resolve) => (give = resolve));
    }
    const done: number[] = [];
    const end = forEachConcurrent(source(), 2, controller.signal, async (item) => void done.push(item));
    await settle();
    controller.abort(new Error('stop'));
    give(1);
    await expect(end).rejects.toThrow('stop');
    expect(done).toEqual([0]);
  });

  it('lets many workers listen for the abort, and none of them still does afterwards', async () => {
    const { signal } = new AbortController();
    const warnings: string[] = [];
    const warned = (warning: Error): void => void warnings.push(warning.name);
    process.on('warning', warned);
    onTestFinished(() => void process.off('warning', warned));
    await forEachConcurrent(numbers(100).source, 30, signal, () => systemClock.sleep(1, signal));
    await settle();
    expect(warnings).toEqual([]);
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });
});

describe('inLanes', () => {
  it('begins in order, never more than its lanes, and goes on behind a failure', async () => {
    const inLane = inLanes(2);
    const begun: number[] = [];
    const ends: ((error?: Error) => void)[] = [];
    const work = Array.from({ length: 5 }, (_, item) =>
      inLane(
        () =>
          new Promise<number>((resolve, reject) => {
            begun.push(item);
            ends[item] = (error) => (error ? reject(error) : resolve(item));
          }),
      ),
    );
    const outcomes = Promise.allSettled(work);
    await settle();
    expect(begun).toEqual([0, 1]);
    ends[0]!(new Error('no'));
    await settle();
    expect(begun).toEqual([0, 1, 2]);
    for (const item of [1, 2, 3, 4]) {
      ends[item]!();
      await settle();
    }
    expect((await outcomes).map(({ status }) => status)).toEqual(['rejected', ...Array(4).fill('fulfilled')]);
    expect(begun).toEqual([0, 1, 2, 3, 4]);
  });
});
