// Our program and the raw limit, in turn, against one fast server.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { generate } from 'selfsigned';
import { install } from './installation.mjs';
import { CLI, measured, measuredCommand, startServer } from './processes.mjs';
import { GROUP_ID, patientIdsOf, TYPES } from './population.mjs';

const HOST = '127.0.0.1';
const BULK_PARALLEL = 5;

/** A certificate for the loopback address, which is its own authority. */
async function certificate() {
  const made = await generate([{ name: 'commonName', value: HOST }], {
    keyType: 'ec',
    curve: 'P-256',
    algorithm: 'sha256',
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', digitalSignature: true, keyCertSign: true, critical: true },
      { name: 'extKeyUsage', serverAuth: true },
      { name: 'subjectAltName', altNames: [{ type: 7, ip: HOST }] },
    ],
  });
  return { key: made.private, cert: made.cert };
}

/** A fast server, and what is needed to be measured against it. */
export async function openStage(bench, options) {
  const tls = options.secure ? await certificate() : undefined;
  const server = await startServer({ ...options, tls, gzip: options.secure === true });
  const folder = await mkdtemp(path.join(tmpdir(), 'fhir-rounds-bench-'));
  const caFile = tls && path.join(folder, 'ca.pem');
  if (caFile) await writeFile(caFile, tls.cert);
  return {
    server,
    folder,
    caFile,
    nodeArgs: bench.nodeArgs,
    installed: (settings, patients = options.patients) =>
      install({
        tokenEndpoint: `${server.origin}/token`,
        base: server.base,
        privateKey: bench.privateKey,
        patientIds: patientIdsOf(patients),
        types: options.types ?? TYPES,
        caPem: tls?.cert,
        settings,
      }),
    close: async () => {
      await server.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** One run of the program, whole: what it cost, what the server saw of it, and the ledger it left. */
export async function ourRun(stage, settings, expected, more = {}) {
  const installation = await stage.installed(settings, more.patients);
  try {
    await stage.server.counts();
    const run = await runOnce(installation, stage.nodeArgs);
    const counts = await stage.server.counts();
    const published = await installation.published();
    if (published !== expected) throw new Error(`${published} of ${expected} resources were published`);
    return { ...run, counts, ledgerBytes: await installation.ledgerBytes() };
  } finally {
    await installation.remove();
  }
}

/** Throws unless it ended complete. */
export async function runOnce(installation, nodeArgs = []) {
  const options = { cwd: installation.folder, nodeArgs };
  const run = await measured(CLI, installation.args('run', '--quiet', '--no-mail'), options);
  if (run.code !== 0) throw new Error(`the run ended with ${run.code}:\n${run.stderr}`);
  return run;
}

/** The same searches by the raw loop. Throws when it did not ask what we asked. */
export async function rawSearches(stage, searches, concurrency, ours) {
  const { origin, base } = stage.server;
  const { caFile } = stage;
  const given = { origin, basePath: base.slice(origin.length), caFile, concurrency, ...searches };
  await stage.server.counts();
  const run = await measured('rawSearches.mjs', [JSON.stringify(given)]);
  if (run.code !== 0) throw new Error(`the raw loop ended with ${run.code}:\n${run.stderr}`);
  const counts = await stage.server.counts();
  if (ours && (ours.counts.searches !== counts.searches || ours.counts.bytes !== counts.bytes)) {
    throw new Error(`we asked for ${ours.counts.searches} pages, the raw loop for ${counts.searches}`);
  }
  return run;
}

export function figuresOf(ours, raw) {
  return {
    wallS: ours.wallMs / 1000,
    rawWallS: raw.wallMs / 1000,
    ratio: ours.wallMs / raw.wallMs,
    cpuS: ours.cpuMs / 1000,
    rawCpuS: raw.cpuMs / 1000,
    rssMb: ours.peakRssMb,
    rawRssMb: raw.peakRssMb,
  };
}

/** Figures of each round of the same searches by us and by the raw loop. */
export async function* searchRounds(bench, { latencyMs, concurrency, secure = false }) {
  const searches = { patients: bench.sized(200), types: TYPES, perSearch: 20 };
  const stage = await openStage(bench, { ...searches, latencyMs, secure });
  const expected = searches.patients * TYPES.length * searches.perSearch;
  try {
    for (let round = 0; round < bench.rounds; round++) {
      const ours = await ourRun(stage, { 'api_settings.concurrency': concurrency }, expected);
      yield figuresOf(ours, await rawSearches(stage, searches, concurrency, ours));
    }
  } finally {
    await stage.close();
  }
}

/** Figures of each round of a bulk export by us, by node:http to files, and by curl where it is installed. */
export async function* bulkRounds(bench, { secure = false } = {}) {
  const bulk = { files: bench.sized(200), linesPerFile: 2_500 };
  const stage = await openStage(bench, { types: TYPES, bulk, secure });
  const settings = {
    'bulk.group_id': GROUP_ID,
    'job bench.method': 'bulk',
    'api_settings.concurrency': BULK_PARALLEL,
  };
  try {
    for (let round = 0; round < bench.rounds; round++) {
      const ours = await ourRun(stage, settings, bulk.files * bulk.linesPerFile, { patients: 1 });
      const raw = await rawFiles(stage, bulk.files, secure);
      const curlMs = await curlMsOf(stage, bulk.files);
      yield { ...figuresOf(ours, raw), ...(curlMs === undefined ? {} : { curlS: curlMs / 1000 }) };
    }
  } finally {
    await stage.close();
  }
}

async function rawFiles({ server, caFile, folder }, files, gzip) {
  const to = await mkdtemp(path.join(folder, 'raw-'));
  const given = { origin: server.origin, files, folder: to, concurrency: BULK_PARALLEL, caFile, gzip };
  const run = await measured('rawFiles.mjs', [JSON.stringify(given)]);
  await rm(to, { recursive: true });
  if (run.code !== 0) throw new Error(`the raw download ended with ${run.code}:\n${run.stderr}`);
  return run;
}

/** undefined where curl is not installed, or too old for --parallel (7.66). */
async function curlMsOf({ server, caFile, folder }, files) {
  const to = await mkdtemp(path.join(folder, 'curl-'));
  const ca = caFile === undefined ? [] : ['--cacert', caFile, '--compressed'];
  const args = [
    '-sf',
    '--parallel',
    '--parallel-max',
    String(BULK_PARALLEL),
    ...ca,
    '--output',
    path.join(to, '#1'),
  ];
  try {
    const { code, wallMs } = await measuredCommand('curl', [
      ...args,
      `${server.origin}/bulk/files/[0-${files - 1}].ndjson`,
    ]);
    return code === 0 ? wallMs : undefined;
  } catch {
    return undefined;
  } finally {
    await rm(to, { recursive: true });
  }
}
