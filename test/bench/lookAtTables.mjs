// Looks at one big upload as a person would, and says how long each look took.
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';

const dist = path.resolve(import.meta.dirname, '..', '..', 'dist');
const { recordRoutes } = await import(path.join(dist, 'console/records/recordRoutes.js'));
const { systemClock } = await import(path.join(dist, 'system/clock.js'));
const { silentLog } = await import(path.join(dist, 'system/logger.js'));

/** Nobody goes away. */
const NEVER = { aborted: false, throwIfAborted: () => undefined };
const [folder, source, rows] = process.argv.slice(2);
const site = { clock: systemClock, log: silentLog, folder, read: (work) => work(undefined) };
let routes = recordRoutes(site);

async function look(search = '', id) {
  const route = routes.find(
    ({ path: at }) => at === `/data/{source}/{type}${id === undefined ? '' : '/{id}'}`,
  );
  const from = performance.now();
  const answer = await route.answer({
    ...{ method: 'GET', params: { source, type: 'Observation', id }, session: undefined },
    url: new URL(`http://127.0.0.1/data/${source}/Observation${search}`),
    signal: NEVER,
  });
  return { answer, tookS: (performance.now() - from) / 1000 };
}

const begun = performance.now();
// A thread that builds keeps no process alive: this does.
while ((await look()).answer.headers?.refresh !== undefined) await sleep(100);
const indexS = (performance.now() - begun) / 1000;

// As after a restart: nothing is held.
routes = recordRoutes(site);
const first = await look();
const [, id] = new RegExp(`/data/${source}/Observation/([^?"]+)`).exec(
  first.answer.body.slice(first.answer.body.indexOf('<tbody>')),
);
const figures = {
  indexS,
  firstPageS: first.tookS,
  filterAnyS: (await look('?filter=glucose')).tookS,
  filterNoneS: (await look('?filter=nothing-has-this')).tookS,
  filterWordsS: (await look('?filter=high+cholesterol')).tookS,
  filterColumnS: (await look('?in.what=heart')).tookS,
  sortFirstS: (await look('?sort=-date')).tookS,
  sortAgainS: (await look('?sort=-date&page=2')).tookS,
  sortedFilteredS: (await look('?sort=-date&filter=glucose&page=9')).tookS,
  lastPageS: (await look(`?sort=date&page=${Math.ceil(Number(rows) / 50)}`)).tookS,
  resourceS: (await look('', id)).tookS,
};
process.stdout.write(JSON.stringify(figures));
