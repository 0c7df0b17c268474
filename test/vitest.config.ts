import { pathToFileURL } from 'node:url';
import path from 'node:path';
import { defineConfig, type Plugin } from 'vitest/config';
import { ensureBuilt } from './support/built.ts';

const src = path.resolve(import.meta.dirname, '..', 'src') + path.sep;
const dist = path.resolve(import.meta.dirname, '..', 'dist');
const THREAD = /new URL\('\.\/(\w+\.js)', import\.meta\.url\)/g;

/** A thread is plain Node's, which may read no TypeScript: what runs from src starts that of dist, built when first needed. */
const builtThreads: Plugin = {
  name: 'built-threads',
  enforce: 'pre',
  async transform(code, id) {
    if (!id.startsWith(src) || code.search(THREAD) < 0) return undefined;
    await ensureBuilt();
    const folder = path.join(dist, path.relative(src, path.dirname(id)));
    return code.replaceAll(
      THREAD,
      (_, file: string) => `new URL(${JSON.stringify(pathToFileURL(path.join(folder, file)).href)})`,
    );
  },
};

export default defineConfig({
  plugins: [builtThreads],
  test: {
    root: import.meta.dirname,
    include: ['**/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // For the two cores that CI has: more than a third of the time tests wait, for disks, servers and clocks.
    maxWorkers: 3,
    pool: 'forks',
  },
});
