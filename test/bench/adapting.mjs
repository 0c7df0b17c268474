// How the number of requests at once finds a server's limit, and keeps to the configured one.
import { openStage, ourRun } from './sideBySide.mjs';
import { TYPES } from './population.mjs';

const LATENCY_MS = 100;
const CEILING = 64;
const HIDDEN_LIMIT = 24;
const PER_SECOND = 100;

export async function* wideRounds(bench) {
  yield* rounds(
    bench,
    200,
    {},
    { 'api_settings.concurrency': CEILING },
    ({ wallMs, cpuMs, peakRssMb, counts }) => ({
      wallS: wallMs / 1000,
      cpuS: cpuMs / 1000,
      rssMb: peakRssMb,
      mostAtOnce: counts.mostInside,
    }),
  );
}

/** The mean of the second half of the run counts: the first is for finding the limit. */
export async function* limitRounds(bench) {
  const settings = { 'api_settings.concurrency': CEILING };
  yield* rounds(bench, 800, { limit: HIDDEN_LIMIT }, settings, ({ wallMs, counts }) => {
    const { startsAtMs, trace, refused, searches } = counts;
    const [from, to] = [startsAtMs[searches >> 1], startsAtMs.at(-1)];
    const late = trace.filter(({ atMs }) => atMs >= from && atMs <= to).map(({ inside }) => inside);
    const meanAtOnce = late.reduce((sum, inside) => sum + inside, 0) / late.length;
    return {
      wallS: wallMs / 1000,
      refusedPercent: (100 * refused) / searches,
      meanAtOnce,
      offLimitPercent: 100 * Math.abs(1 - meanAtOnce / HIDDEN_LIMIT),
    };
  });
}

export async function* rateRounds(bench) {
  const settings = { 'api_settings.concurrency': CEILING, 'api_settings.requests_per_second': PER_SECOND };
  yield* rounds(bench, 100, {}, settings, ({ wallMs, counts: { startsAtMs } }) => {
    let mostInASecond = 0;
    for (let first = 0, last = 0; last < startsAtMs.length; last++) {
      while (startsAtMs[last] - startsAtMs[first] >= 1000) first++;
      mostInASecond = Math.max(mostInASecond, last - first + 1);
    }
    return { wallS: wallMs / 1000, mostInASecond };
  });
}

async function* rounds(bench, patients, server, settings, figuresOf) {
  const searches = { patients: bench.sized(patients), types: TYPES, perSearch: 20 };
  const stage = await openStage(bench, { ...searches, latencyMs: LATENCY_MS, ...server });
  try {
    for (let round = 0; round < bench.rounds; round++) {
      yield figuresOf(await ourRun(stage, settings, searches.patients * TYPES.length * searches.perSearch));
    }
  } finally {
    await stage.close();
  }
}
