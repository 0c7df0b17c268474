// What becomes of time, memory and ledger as there is more to do.
import { setTimeout as sleep } from 'node:timers/promises';
import { median } from './medians.mjs';
import { CLI, measured } from './processes.mjs';
import { figuresOf, openStage, ourRun, rawSearches, runOnce } from './sideBySide.mjs';
import { TYPES } from './population.mjs';

const CONCURRENCY = 16;
const SETTINGS = { 'api_settings.concurrency': CONCURRENCY };
const [ONE_TYPE] = TYPES;

/** From the first search to the end of the process. */
const withoutStartMs = ({ startedAtMs, wallMs, counts }) => startedAtMs + wallMs - counts.startsAtMs[0];
const perSearchUs = (run) => (1000 * withoutStartMs(run)) / run.counts.searches;

export async function* growthRounds(bench) {
  const [few, many] = [bench.sized(200), bench.sized(20_000)];
  const stage = await openStage(bench, { types: [ONE_TYPE], patients: many, perSearch: 5 });
  try {
    const small = [];
    for (let time = 0; time < 5; time++)
      small.push(await ourRun(stage, SETTINGS, few * 5, { patients: few }));
    const smallUs = median(small.map(perSearchUs));
    const large = await ourRun(stage, SETTINGS, many * 5);
    yield {
      fewUs: smallUs,
      manyUs: perSearchUs(large),
      growth: perSearchUs(large) / smallUs,
      fewRssMb: median(small.map(({ peakRssMb }) => peakRssMb)),
      rssMb: large.peakRssMb,
      cpuS: large.cpuMs / 1000,
      wallS: large.wallMs / 1000,
      ledgerBytesASearch: ledgerBytesASearch(small[0], large),
    };
  } finally {
    await stage.close();
  }
}

/** What a further search takes: an empty ledger takes something too. */
function ledgerBytesASearch(small, large) {
  return (large.ledgerBytes - small.ledgerBytes) / (large.counts.searches - small.counts.searches);
}

export async function* millionRounds(bench) {
  const [few, many] = [bench.sized(20_000), bench.sized(1_000_000)];
  const stage = await openStage(bench, { types: [ONE_TYPE], patients: many, perSearch: 1 });
  try {
    const small = await ourRun(stage, SETTINGS, few, { patients: few });
    const large = await ourRun(stage, SETTINGS, many);
    yield {
      fewUs: perSearchUs(small),
      manyUs: perSearchUs(large),
      growth: perSearchUs(large) / perSearchUs(small),
      rssMb: large.peakRssMb,
      cpuS: large.cpuMs / 1000,
      wallS: large.wallMs / 1000,
      ledgerBytesASearch: ledgerBytesASearch(small, large),
      // Read, checked and copied into the snapshot, the start of the process included.
      rosterS: (large.counts.startsAtMs[0] - large.startedAtMs) / 1000,
      resumeS: await resumeSeconds(stage, many),
    };
  } finally {
    await stage.close();
  }
}

/** From the start of a process that goes on with a run that was killed at its half, to its first search. */
async function resumeSeconds(stage, patients) {
  const installation = await stage.installed(SETTINGS);
  try {
    await stage.server.counts();
    let child;
    const killed = measured(CLI, installation.args('run', '--quiet', '--no-mail'), {
      cwd: installation.folder,
      onStart: (started) => (child = started),
    });
    for (let searches = 0; searches < patients / 2;) {
      await sleep(200);
      searches += (await stage.server.counts()).searches;
    }
    child.kill('SIGKILL');
    await killed;
    await stage.server.counts();
    const { startedAtMs } = await runOnce(installation);
    const { startsAtMs } = await stage.server.counts();
    return (startsAtMs[0] - startedAtMs) / 1000;
  } finally {
    await installation.remove();
  }
}

/** Page after page, so at most one request at once: the raw loop too. */
export async function* onePatientRounds(bench) {
  const [few, many] = [bench.sized(50_000), bench.sized(200_000)];
  const small = await onePatient(bench, few);
  const { ours, raw } = await onePatient(bench, many);
  const growth = withoutStartMs(ours) / many / (withoutStartMs(small.ours) / few);
  yield { ...figuresOf(ours, raw), growth, fewRssMb: small.ours.peakRssMb };
}

async function onePatient(bench, perSearch) {
  const searches = { patients: 1, types: [ONE_TYPE], perSearch };
  const stage = await openStage(bench, searches);
  try {
    const ours = await ourRun(stage, SETTINGS, perSearch);
    return { ours, raw: await rawSearches(stage, searches, 1, ours) };
  } finally {
    await stage.close();
  }
}
