import { expect, it } from 'vitest';
import { runHere } from '../support/runHere.ts';
import { crashEverywhere } from './everyOperation.ts';
import { TIMEOUT_MS } from './options.ts';
import { FAILS } from './smallRun.ts';

it(
  'a --retry-failed that is crashed at any of its durable operations ends exact',
  { timeout: TIMEOUT_MS },
  async () => {
    const kinds = await crashEverywhere({
      name: 'a retry',
      isRetry: true,
      prepare: async ({ site, sandbox }) => {
        sandbox.setFaults(FAILS);
        expect(await runHere(site)).toBe(3);
      },
    });
    expect(kinds.some((kind) => kind.startsWith('link'))).toBe(true);
    expect(kinds.length).toBeGreaterThan(50);
  },
);
