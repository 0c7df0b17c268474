// What `npm run bench` measures, and what it is held against. A row yields the figures of one round after the other;
// names of figures end in their unit (S: seconds, Mb: megabytes, Us: microseconds).
import { limitRounds, rateRounds, wideRounds } from './adapting.mjs';
import { commandRounds, idleRounds, monthRounds } from './atRest.mjs';
import { growthRounds, millionRounds, onePatientRounds } from './growing.mjs';
import { bulkRounds, searchRounds } from './sideBySide.mjs';
import { tableRounds } from './tables.mjs';

const searches = (latencyMs, concurrency, secure) => (bench) =>
  searchRounds(bench, { latencyMs, concurrency, secure });

/** Named `onlyNamed`: takes too long to be done with the others. `once`: a second round would show nothing else. */
export const ROWS = [
  {
    name: 'searches-0',
    what: '32,000 resources of 1 kB in 1,600 searches, no latency, concurrency 16',
    atMost: { ratio: 2.5, cpuS: 1.2 },
    rounds: searches(0, 16),
  },
  {
    name: 'searches-20',
    what: 'the same, each answer 20 ms late',
    atMost: { ratio: 1.15 },
    rounds: searches(20, 16),
  },
  {
    name: 'searches-100',
    what: 'the same, each answer 100 ms late',
    atMost: { ratio: 1.15 },
    rounds: searches(100, 16),
  },
  {
    name: 'searches-0-secure',
    what: 'as searches-0, by TLS and gzip; so is the raw loop, which does not decompress',
    atMost: {},
    rounds: searches(0, 16, true),
  },
  {
    name: 'searches-20-secure',
    what: 'as searches-20, by TLS and gzip',
    atMost: { ratio: 1.15 },
    rounds: searches(20, 16, true),
  },
  {
    name: 'wide',
    what: '1,600 searches, ceiling 64, each answer 100 ms late',
    atMost: { wallS: 6 },
    rounds: wideRounds,
  },
  {
    name: 'limit',
    what: 'ceiling 64, and a server that answers 429 to what is more than 24 at once, each answer 100 ms late',
    atMost: { refusedPercent: 2, offLimitPercent: 20 },
    rounds: limitRounds,
  },
  {
    name: 'rate',
    what: 'requests_per_second = 100: the most that started in a second, by the server',
    atMost: { mostInASecond: 100 },
    rounds: rateRounds,
  },
  {
    name: 'growth',
    what: '200 and 20,000 patients, one search of 5 resources each: time of a search, start-up aside',
    atMost: { growth: 1.1, rssMb: 200, ledgerBytesASearch: 100 },
    once: true,
    rounds: growthRounds,
  },
  {
    name: 'million',
    what: '20,000 and 1,000,000 patients, one search each; killed at its half and gone on with',
    atMost: { growth: 1.1, rssMb: 200, ledgerBytesASearch: 100, rosterS: 5, resumeS: 10 },
    once: true,
    onlyNamed: true,
    rounds: millionRounds,
  },
  {
    name: 'one-patient',
    what: 'one patient with 50,000 and with 200,000 resources: growth of the time of a resource',
    atMost: { growth: 1.1, rssMb: 250 },
    once: true,
    rounds: onePatientRounds,
  },
  {
    name: 'bulk',
    what: '500 MB in 200 files by $export, 5 at once; raw: node:http to files',
    atMost: { ratio: 1.25, rssMb: 200 },
    rounds: (bench) => bulkRounds(bench),
  },
  {
    name: 'bulk-secure',
    what: 'the same by TLS and gzip; raw decompresses too',
    atMost: { ratio: 1.25, rssMb: 200 },
    rounds: (bench) => bulkRounds(bench, { secure: true }),
  },
  {
    name: 'commands',
    what: 'status and run --dry-run, after a run of 200 patients',
    atMost: { statusCpuS: 0.3, dryRunCpuS: 0.3 },
    rounds: commandRounds,
  },
  {
    name: 'tables',
    what: 'the console: a table of 1,000,000 Observations (1 GB), indexed, then filtered, sorted and paged',
    atMost: { indexS: 120, firstPageS: 0.3, filterAnyS: 1, filterNoneS: 1, filterWordsS: 1, rssMb: 300 },
    once: true,
    onlyNamed: true,
    rounds: tableRounds,
  },
  {
    name: 'idle',
    what: 'a daemon for 30 s with nothing to do',
    atMost: { rssMb: 120, cpuPercent: 0.1 },
    once: true,
    rounds: idleRounds,
  },
  {
    name: 'month',
    what: 'a daemon for a month of nothing to do, on a clock that takes two minutes for it',
    atMost: { heapMbGrown: 0.5, rssMbGrown: 2, descriptorsGrown: 0, handlesGrown: 0 },
    once: true,
    onlyNamed: true,
    rounds: monthRounds,
  },
];
