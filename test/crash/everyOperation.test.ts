import { expect, it } from 'vitest';
import { crashEverywhere } from './everyOperation.ts';
import { TIMEOUT_MS } from './options.ts';

it('a run that is crashed at any of its durable operations ends exact', { timeout: TIMEOUT_MS }, async () => {
  const kinds = await crashEverywhere({ name: 'a run' });
  // The run is one that has all of them.
  for (const part of ['create', 'write', 'sync', 'rename', 'symlink', 'mkdir', 'remove', 'sql COMMIT']) {
    expect(kinds.filter((kind) => kind.startsWith(part)).length, part).toBeGreaterThan(0);
  }
  expect(kinds.some((kind) => kind.startsWith('sql UPDATE outbox SET sent_at'))).toBe(true);
  expect(kinds.length).toBeGreaterThan(90);
});
