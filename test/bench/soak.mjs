// `npm run soak [-- --minutes N] [--json FILE]`: a daemon runs back to back against the sandbox, which fails now and then
// in every way that a server can; what the daemon holds (memory, descriptors, handles) must not grow. Linux only. The
// soak has failed when something grew, when a run published nothing, or when the daemon ended.
import { spawn } from 'node:child_process';
import { createPrivateKey, createPublicKey } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import readline from 'node:readline';
import { clearTimeout, setTimeout } from 'node:timers';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { install, newPrivateKey } from './installation.mjs';
import { CLI, measured, plainEnvironment } from './processes.mjs';
import { growthOf, SAMPLER_ARGS, samplerEnvironment, samplesOf } from './samples.mjs';

const CLIENT_ID = 'bench';
const KEY_ID = 'soak';
const PATIENTS = 24;
/** Of the sandbox by default. */
const SEED = 1;
const TYPES = [
  ...['Patient', 'Condition', 'Observation', 'Encounter', 'Procedure', 'MedicationRequest', 'Medication'],
  ...['DocumentReference', 'Binary', 'Practitioner', 'Organization', 'Provenance', 'Goal', 'Immunization'],
];
/** Each strikes so rarely that what failed succeeds when it is asked again. */
const FAULTS = [
  { match: { endpoint: 'search' }, when: { probability: 0.01 }, then: { status: 429, retryAfter: 1 } },
  { match: { endpoint: 'search' }, when: { probability: 0.02 }, then: { status: 503 } },
  { match: {}, when: { probability: 0.01 }, then: { reset: true } },
  { match: { endpoint: 'search' }, when: { probability: 0.01 }, then: { cutBodyAt: 0.5 } },
  { match: { endpoint: 'search' }, when: { probability: 0.01 }, then: { gzipCut: true } },
  { match: { endpoint: 'page' }, when: { probability: 0.02 }, then: { badJson: true } },
  { match: { endpoint: 'page' }, when: { probability: 0.02 }, then: { next: 'expired' } },
  { match: { endpoint: 'search' }, when: { probability: 0.01 }, then: { duplicateEntry: true } },
  { match: { endpoint: 'search' }, when: { probability: 0.01 }, then: { status: 401 } },
  { match: { endpoint: 'read' }, when: { probability: 0.02 }, then: { html: true } },
  { match: { endpoint: 'token' }, when: { every: 7 }, then: { status: 500 } },
  { match: { endpoint: 'token' }, when: { every: 3 }, then: { tokenLifeSeconds: 70 } },
  { match: { endpoint: 'smtp' }, when: { nth: [3, 11] }, then: { smtpNoStarttls: true } },
];
/** What may differ between the second quarter of the soak and its last: noise of a sample. */
const SLACK = { rssMb: 8, heapMb: 2, externalMb: 2, descriptors: 2, handles: 3 };
const GO_ON_MS = 20_000;

const { minutes, json } = parseArguments();
const folder = await mkdtemp(path.join(tmpdir(), 'fhir-rounds-soak-'));
const ends = [() => rm(folder, { recursive: true, force: true })];
try {
  const result = await soak();
  process.stdout.write(`${textOf(result)}\n`);
  if (json !== undefined) await writeFile(json, `${JSON.stringify(result, undefined, 2)}\n`);
  if (result.verdicts.some(({ grew }) => grew) || result.unpublished > 0) process.exitCode = 1;
} finally {
  for (const end of ends.reverse()) await end();
}

async function soak() {
  const privateKey = newPrivateKey();
  const sandbox = await startSandbox(privateKey);
  const installation = await installed(sandbox, privateKey);
  ends.push(installation.remove);
  const samples = await sampled(installation);
  const { stdout } = await measured(CLI, installation.args('runs', '--json', '--limit', '100000'), {
    cwd: installation.folder,
  });
  const runs = JSON.parse(stdout);
  const statuses = countOf(runs.map(({ status = 'open' }) => status));
  const gaps = runs.reduce((sum, { summary }) => sum + (summary?.searches.gap ?? 0), 0);
  const unpublished = runs.filter(({ status }) => status === 'failed').length;
  return { minutes, runs: runs.length, statuses, gaps, unpublished, verdicts: verdictsOf(samples), samples };
}

async function startSandbox(privateKey) {
  const jwk = createPublicKey(createPrivateKey(privateKey)).export({ format: 'jwk' });
  const at = (name) => path.join(folder, name);
  await writeFile(
    at('jwks.json'),
    JSON.stringify({ keys: [{ ...jwk, kid: KEY_ID, use: 'sig', alg: 'RS384' }] }),
  );
  await writeFile(at('faults.json'), JSON.stringify(FAULTS));
  const args = ['sandbox', '--json', '--patients', String(PATIENTS), '--client-id', CLIENT_ID];
  const child = spawn(
    process.execPath,
    [CLI, ...args, '--jwks', at('jwks.json'), '--faults', at('faults.json')],
    {
      cwd: folder,
      env: plainEnvironment(),
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  ends.push(() => ended(child));
  const [line] = await once(readline.createInterface({ input: child.stdout }), 'line');
  return JSON.parse(line);
}

async function installed({ fhirBase, tokenEndpoint, smtp }, privateKey) {
  const { patientIdOf } = await import(
    pathToFileURL(path.join(path.dirname(CLI), 'sandbox', 'startSandbox.js')).href
  );
  await writeFile(path.join(folder, 'mail.pem'), smtp.certificatePem);
  await writeFile(path.join(folder, 'password'), smtp.pass, { mode: 0o600 });
  return install({
    tokenEndpoint,
    base: fhirBase,
    privateKey,
    patientIds: Array.from({ length: PATIENTS }, (_, ordinal) => patientIdOf(ordinal, SEED)),
    types: TYPES,
    settings: {
      'jwt_settings.key_id': KEY_ID,
      // Every second: the next run is due when one ends.
      'schedule.cron': '* * * * * *',
      'retention.keep_runs': 5,
      'email.smtp_host': smtp.host,
      'email.smtp_port': smtp.port,
      'email.smtp_user': smtp.user,
      'email.smtp_pass_file': path.join(folder, 'password'),
      'email.smtp_tls_ca': path.join(folder, 'mail.pem'),
      'email.notification_from': smtp.user,
      'email.notification_to': 'oncall@hospital.example',
    },
  });
}

/** What the daemon held, until its time is over. */
async function sampled(installation) {
  const durationMs = minutes * 60_000;
  const child = spawn(process.execPath, [...SAMPLER_ARGS, CLI, ...installation.args('daemon', '--quiet')], {
    cwd: installation.folder,
    env: { ...plainEnvironment(), ...samplerEnvironment(durationMs) },
    stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
  });
  const samples = samplesOf(child);
  const gone = once(child, 'exit').then(([code]) => `the daemon ended with ${code}`);
  const early = await Promise.race([gone, sleep(durationMs)]);
  if (early !== undefined) throw new Error(early);
  await ended(child);
  return samples;
}

/** Asked to end, and then made to. */
async function ended(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  child.kill('SIGTERM');
  const force = setTimeout(() => child.kill('SIGKILL'), GO_ON_MS);
  await exit;
  clearTimeout(force);
}

function verdictsOf(samples) {
  return Object.entries(SLACK).map(([figure, slack]) => {
    const { before, after } = growthOf(samples, figure);
    return { figure, before, after, slack, grew: after - before > slack };
  });
}

function countOf(words) {
  const counts = {};
  for (const word of words) counts[word] = (counts[word] ?? 0) + 1;
  return counts;
}

function textOf({ runs, statuses, gaps, verdicts }) {
  const kinds = Object.entries(statuses).map(([status, count]) => `${count} ${status}`);
  const lines = verdicts.map(
    ({ figure, before, after, slack, grew }) =>
      `${grew ? 'GREW  ' : 'steady'}  ${figure.padEnd(12)}${before.toFixed(1).padStart(8)} -> ${after.toFixed(1)} (slack ${slack})`,
  );
  return [`${runs} runs in ${minutes} minutes: ${kinds.join(', ')}; ${gaps} gaps`, ...lines].join('\n');
}

function parseArguments() {
  try {
    const options = { minutes: { type: 'string', default: '10' }, json: { type: 'string' } };
    const { values } = parseArgs({ options });
    const asked = Number(values.minutes);
    if (!(asked > 0 && asked <= 10_000)) throw new RangeError('--minutes takes a number above 0');
    return { minutes: asked, json: values.json };
  } catch (error) {
    process.stderr.write(`npm run soak: ${error.message}\n`);
    process.exit(2);
  }
}
