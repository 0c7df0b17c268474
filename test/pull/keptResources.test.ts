import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  KeptResources,
  SPOOL_BYTES,
  type KeptResource,
  type MemoryBudget,
  type Uniqueness,
} from '../../src/pull/keptResources.ts';
import { isWindows } from '../../src/system/files.ts';
import { rejection } from '../support/rejection.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const MEGABYTE = 1024 * 1024;

function budgetOf(limit: number): MemoryBudget {
  return { used: 0, limit };
}

async function all(kept: KeptResources): Promise<readonly KeptResource[]> {
  const found: KeptResource[] = [];
  for await (const block of kept.blocks()) found.push(...block);
  return found;
}

function add(
  kept: KeptResources,
  resourceType: string,
  resourceId: string,
  bytes: Buffer,
  uniqueness: Uniqueness,
) {
  return kept.add({ resourceType, resourceId, bytes }, uniqueness);
}

/** `count` resources of `size` bytes, each different from the others. */
function addMany(kept: KeptResources, count: number, size: number, from = 0): void {
  for (let at = from; at < from + count; at++) {
    add(kept, 'Observation', `o${at}`, Buffer.alloc(size, 33 + (at % 90)), at % 2 === 0 ? 'search' : 'run');
  }
}

async function setUp(limit = 64 * MEGABYTE) {
  const folder = await temporaryFolder();
  const budget = budgetOf(limit);
  return { folder, budget, kept: new KeptResources(folder, 'search-7', budget) };
}

describe('KeptResources', () => {
  it('keeps the first copy of a type and id, and counts the others', async () => {
    const { kept, budget } = await setUp();
    expect(add(kept, 'Patient', 'a', Buffer.from('{"v":1}'), 'search')).toBe(true);
    expect(add(kept, 'Patient', 'a', Buffer.from('{"v":1}'), 'search')).toBe(false);
    expect(add(kept, 'Patient', 'a', Buffer.from('{"v":2}'), 'run')).toBe(false);
    expect(add(kept, 'Device', 'a', Buffer.from('{"v":1}'), 'run')).toBe(true);
    expect(add(kept, 'Patient', 'A', Buffer.from('{}'), 'search')).toBe(true);
    expect(kept.duplicates).toEqual({ same: 1, differing: 1 });
    expect([kept.count, kept.bytes, budget.used]).toEqual([3, 16, 16]);
    expect((await all(kept)).map((one) => [one.resourceType, one.uniqueness, one.bytes.toString()])).toEqual([
      ['Patient', 'search', '{"v":1}'],
      ['Device', 'run', '{"v":1}'],
      ['Patient', 'search', '{}'],
    ]);
  });

  it('stays in memory while it is small', async () => {
    const { folder, kept } = await setUp();
    addMany(kept, 8, MEGABYTE);
    await kept.settle();
    expect(kept.bytes).toBe(SPOOL_BYTES);
    expect(await readdir(folder)).toEqual([]);
  });

  it('goes to disk when it grows large, in order and byte for byte, and knows its copies still', async () => {
    const { folder, budget, kept } = await setUp();
    addMany(kept, 9, MEGABYTE);
    await kept.settle();
    expect(budget.used).toBe(0);
    expect(await readdir(folder)).toEqual(['search-7']);
    expect(add(kept, 'Observation', 'o3', Buffer.alloc(MEGABYTE, 36), 'run')).toBe(false);
    addMany(kept, 3, MEGABYTE, 9);
    await kept.settle();
    expect(budget.used).toBe(3 * MEGABYTE);
    addMany(kept, 6, MEGABYTE, 12);
    await kept.settle();
    addMany(kept, 2, 10, 18);
    const found = await all(kept);
    expect(found.map((one) => one.resourceId)).toEqual(Array.from({ length: 20 }, (_, at) => `o${at}`));
    expect(found.map((one) => one.bytes[0])).toEqual(Array.from({ length: 20 }, (_, at) => 33 + at));
    expect(found.map((one) => one.bytes.length)).toEqual([...Array<number>(18).fill(MEGABYTE), 10, 10]);
    expect(kept.duplicates).toEqual({ same: 1, differing: 0 });
    // A second reading gives the same.
    expect((await all(kept))[17]?.bytes.at(-1)).toBe(33 + 17);
    await kept.clear();
  });

  it('goes to disk when all searches together hold too much', async () => {
    const { folder, budget, kept } = await setUp(100);
    const other = new KeptResources(folder, 'search-8', budget);
    addMany(other, 1, 90);
    await other.settle();
    addMany(kept, 1, 20);
    await kept.settle();
    expect(budget.used).toBe(90);
    expect(await readdir(folder)).toEqual(['search-7']);
    expect((await all(kept))[0]?.bytes).toEqual(Buffer.alloc(20, 33));
    await kept.clear();
    expect(budget.used).toBe(90);
  });

  it.runIf(!isWindows)('lets the owner alone read what is on disk', async () => {
    const { folder, kept } = await setUp(0);
    addMany(kept, 1, 10);
    await kept.settle();
    expect((await stat(path.join(folder, 'search-7'))).mode & 0o777).toBe(0o600);
    await kept.clear();
  });

  it('is empty when cleared: budget, file and memory of copies, and can be used again', async () => {
    const { folder, budget, kept } = await setUp(50);
    addMany(kept, 2, 40);
    await kept.settle();
    addMany(kept, 1, 30, 2);
    addMany(kept, 1, 40);
    await kept.clear();
    expect([kept.count, kept.bytes, budget.used]).toEqual([0, 0, 0]);
    expect(kept.duplicates).toEqual({ same: 0, differing: 0 });
    expect(await readdir(folder)).toEqual([]);
    addMany(kept, 2, 40);
    await kept.settle();
    expect((await all(kept)).map((one) => one.resourceId)).toEqual(['o0', 'o1']);
    await kept.clear();
  });

  it('says that the disk cannot take it', async () => {
    const kept = new KeptResources(path.join(await temporaryFolder(), 'gone'), 'search-7', budgetOf(1));
    addMany(kept, 1, 10);
    expect((await rejection(kept.settle())).code).toBe('PATH_UNUSABLE');
  });
});
