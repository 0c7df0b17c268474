import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    root: import.meta.dirname,
    include: ['**/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Real servers and real files: two workers fit the two cores that CI has.
    maxWorkers: 2,
    pool: 'forks',
  },
});
