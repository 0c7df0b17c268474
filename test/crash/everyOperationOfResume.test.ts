import { expect, it } from 'vitest';
import { heldBy } from '../support/asked.ts';
import { restore } from './crashing.ts';
import { crashEverywhere, photograph } from './everyOperation.ts';
import { TIMEOUT_MS } from './options.ts';

it(
  'a resumed run that is crashed at any of its durable operations ends exact',
  { timeout: TIMEOUT_MS },
  async () => {
    const kinds = await crashEverywhere({
      name: 'a resumed run',
      prepare: async (small) => {
        // The power was cut among the references: patients' searches are committed, and what is appended is not.
        const { images } = await photograph(small);
        const among = images.findLast(
          ({ how, kind }) => how === 'power' && /^(create|write) .*Practitioner/.test(kind),
        );
        await restore(small.site, among);
        expect((await heldBy(small.site)).done.size).toBeGreaterThan(10);
      },
    });
    expect(kinds.some((kind) => kind.startsWith('truncate') || kind.startsWith('remove'))).toBe(true);
    expect(kinds.length).toBeGreaterThan(50);
  },
);
