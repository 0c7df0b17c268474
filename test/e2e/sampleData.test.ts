import { describe, expect, it } from 'vitest';
import { expectNothingTwice, newestRun } from '../support/publishedRun.ts';
import { siteForTest } from '../support/site.ts';
import { readSourceBundles, sampleBundles, trailingZeros } from '../support/sourceBundles.ts';

const folder = sampleBundles();

describe('Synthea Bundles served in the US Core dialect', () => {
  it.runIf(folder !== undefined)(
    'come out byte for byte as they stand in the source files, every one of them once',
    async () => {
      const sources = await readSourceBundles(folder!);
      const types = [...new Set(sources.map((source) => source.resourceType))];
      const site = await siteForTest({
        sandbox: { dialect: 'us-core', dataDir: folder! },
        resources: types,
        settings: { 'api_settings.page_size': 200 },
      });
      expect(site.sandbox.patientCount).toBe(8);

      const { code, stderr } = await site.run(['run']);
      expect(code, stderr).toBe(0);

      const published = await newestRun(site);
      expect(published.manifest.extension.searches).toMatchObject({ gap: 0, failed: 0 });
      // latin1 on both sides: a character a byte.
      const lines = published.lines.map(({ text }) => Buffer.from(text, 'utf8').toString('latin1'));
      const expected = new Set(sources.map(({ text }) => text));
      const found = new Set(lines);
      expect(sources.filter(({ text }) => !found.has(text)).map(({ id }) => id)).toEqual([]);
      expect(lines.filter((line) => !expected.has(line)).length).toBe(0);
      expect(lines).toHaveLength(sources.length);
      expectNothingTwice(published);

      const zeros = sources.reduce((sum, { text }) => sum + trailingZeros(text), 0);
      expect(zeros).toBeGreaterThan(100);
      expect(lines.reduce((sum, text) => sum + trailingZeros(text), 0)).toBe(zeros);
    },
  );
});
