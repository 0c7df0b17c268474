// The raw limit of a crawl, a process of its own: the same URLs over the same number of keep-alive connections, the bodies
// thrown away. By undici's dispatch, its lowest level: node:http takes twice the CPU for it.
import { readFileSync } from 'node:fs';
import process from 'node:process';
import { Pool } from 'undici';
import { allPagePaths } from './population.mjs';

const { origin, basePath, caFile, concurrency, ...searches } = JSON.parse(process.argv[2]);
const pool = new Pool(origin, {
  connections: concurrency,
  pipelining: 1,
  ...(caFile === undefined ? {} : { connect: { ca: readFileSync(caFile) } }),
});
const headers = { accept: 'application/fhir+json', 'accept-encoding': 'gzip', authorization: 'Bearer bench' };
const paths = allPagePaths(searches);

await Promise.all(Array.from({ length: concurrency }, worker));
await pool.close();

async function worker() {
  for (const path of paths) await get(basePath + path);
}

function get(path) {
  return new Promise((resolve, reject) => {
    pool.dispatch(
      { path, method: 'GET', headers },
      {
        onRequestStart() {},
        onResponseStart(_, status) {
          if (status !== 200) reject(new Error(`the fast server answered ${status}`));
        },
        onResponseData() {},
        onResponseEnd: () => resolve(),
        onResponseError: (_, error) => reject(error),
      },
    );
  });
}
