import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { crashEverywhere } from './everyOperation.ts';
import { isThorough, SEED } from './options.ts';
import { prepareSmallRun, type SmallRun } from './smallRun.ts';

let lanes: readonly SmallRun[];
beforeAll(async () => {
  lanes = await Promise.all([prepareSmallRun(), prepareSmallRun()]);
});
afterAll(() => Promise.all(lanes.map(({ sandbox }) => sandbox.close())));

/** More than the longest of these runs has, so that a run which never ends its loop fails. */
const TIMEOUT_MS = 30 * 60_000;

describe('a crash at every durable operation of a run', () => {
  // In CI each operation is tried once: every other one killed before it, the rest by a power cut.
  it(
    isThorough ? 'before it, after it, and by a power cut' : 'before it or by a power cut, in turn',
    { timeout: TIMEOUT_MS },
    async () => {
      const { crashes, kinds, failures } = await crashEverywhere(lanes, SEED, (at) =>
        isThorough ? ['before', 'after', 'power'] : [(at + SEED) % 2 === 0 ? 'before' : 'power'],
      );
      process.stdout.write(`crashes at durable operations: ${crashes}, seed ${SEED}\n`);
      expect(failures).toEqual([]);
      // The run is one that has all of them.
      for (const part of ['create', 'write', 'sync', 'rename', 'symlink', 'mkdir', 'remove', 'sql COMMIT']) {
        expect(kinds.filter((kind) => kind.startsWith(part)).length, part).toBeGreaterThan(0);
      }
      expect(kinds.some((kind) => kind.startsWith('sql UPDATE outbox SET sent_at'))).toBe(true);
      expect(crashes).toBeGreaterThan(90);
    },
  );
});
