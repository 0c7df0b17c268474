import { readdirSync, readFileSync } from 'node:fs';
import type { Route } from './exchange.ts';

const FOLDER = new URL('./assets/', import.meta.url);

const TYPES: Readonly<Record<string, string>> = {
  css: 'text/css; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  svg: 'image/svg+xml',
};

/** Style sheets, scripts and pictures of the pages: a fixed few, read once, so that no path can lead elsewhere. */
export function assetRoutes(): readonly Route[] {
  return readdirSync(FOLDER).map((name) => {
    const body = readFileSync(new URL(name, FOLDER));
    const contentType = TYPES[name.split('.').at(-1)!] ?? 'application/octet-stream';
    return {
      method: 'GET',
      path: `/assets/${name}`,
      open: true,
      quiet: true,
      // They hold no PHI, and may be another release's tomorrow.
      answer: () => ({ status: 200, contentType, headers: { 'cache-control': 'no-cache' }, body }),
    };
  });
}
