import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, onTestFinished } from 'vitest';
import { exitCodeOf } from '../../src/commands/run.ts';
import { runWith } from '../../src/commands/oneRun.ts';
import { openStateLedger } from '../../src/compose.ts';
import { loadConfig } from '../../src/config/load.ts';
import { verifyFolder } from '../../src/publish/verify.ts';
import { renderReport } from '../../src/report/render.ts';
import type { RunSummary } from '../../src/report/summary.ts';
import { checkAccess } from '../../src/run/preflight.ts';
import type { OracleLine, Sandbox } from '../../src/sandbox/startSandbox.ts';
import { dataDirPopulation } from '../../src/sandbox/dataDir.ts';
import { generatedPopulation } from '../../src/sandbox/population/generated.ts';
import type { Population } from '../../src/sandbox/population/types.ts';
import { openLog } from '../../src/system/logger.ts';
import { expectExactly, expectNothingTwice, readRun, type Published } from '../support/publishedRun.ts';
import { kickoffUrl } from '../support/bulkSite.ts';
import { oracleRows, siteForTest, type Site } from '../support/site.ts';
import { expectMail } from './runMail.ts';
import { expectNoLeak, watchTokens, wordsOf, type PatientResource } from './canary.ts';
import type { Expected, FaultRow, FaultStory, Range } from './row.ts';
import { createVirtualClock } from './virtualClock.ts';

const TYPES = ['Patient', 'Condition', 'Encounter'];
/** Small pages, so that searches have several. */
const SETTINGS = {
  'api_settings.page_size': 3,
  'logging.level': 'debug',
  'email.notify_on': 'always',
};
/** The mails stay in the outbox. */
const NOBODY_LISTENS = {
  'email.smtp_host': '127.0.0.1',
  'email.smtp_port': 9,
  'email.smtp_auth': 'none',
  'email.notification_from': 'rounds@hospital.example',
  'email.notification_to': 'oncall@hospital.example',
};

/** A site of a row, whose sandbox stands and has the faults in force. */
export interface RowSite {
  readonly site: Site;
  readonly types: readonly string[];
  readonly phi: ReadonlySet<string>;
  readonly tokens: ReadonlySet<string>;
  readonly trap: Sandbox | undefined;
  readonly oracle: () => AsyncIterable<OracleLine>;
}

export async function siteOfRow(row: FaultRow, now?: () => number): Promise<RowSite> {
  const tokens = watchTokens();
  const dataDir = row.data === undefined ? undefined : await writeData(row.data());
  const sandboxOptions = {
    patients: 3,
    ...row.sandbox,
    ...(row.mail ? {} : { smtp: false as const }),
    ...(now ? { now } : {}),
    ...(dataDir === undefined ? {} : { dataDir }),
  } as const;
  const types = row.types ?? TYPES;
  const site = await siteForTest({
    sandbox: sandboxOptions,
    resources: types,
    mail: row.mail !== undefined,
    settings: { ...SETTINGS, ...(row.mail ? {} : NOBODY_LISTENS), ...row.settings },
  });
  const { sandbox } = site;
  if (row.roster) await writeFile(site.rosterFile, row.roster(sandbox));
  const trap = row.trap
    ? (await siteForTest({ sandbox: { patients: 1, smtp: false }, mail: false })).sandbox
    : undefined;
  const faults = typeof row.faults === 'function' ? row.faults(sandbox, trap ?? sandbox) : row.faults;
  sandbox.setFaults(faults ?? []);
  sandbox.smtp?.setFaults(row.mail?.faults ?? []);
  if (row.mail?.settings) await site.configure(await row.mail.settings(site));
  const population =
    dataDir === undefined
      ? generatedPopulation({
          seed: 1,
          patients: sandboxOptions.patients,
          special: row.sandbox?.special ?? false,
          fhirBase: sandbox.fhirBase,
        })
      : await dataDirPopulation(dataDir);
  const asked = row.rosterOrdinals?.map((ordinal) => sandbox.patientIdAt(ordinal)!);
  return {
    site,
    types,
    phi: wordsOf(patientsOf(population)),
    tokens,
    trap,
    oracle: () =>
      row.bulk
        ? (async function* () {
            yield* sandbox.bulk.oracle({ url: kickoffUrl('group', types) }).resources;
          })()
        : sandbox.oracle(oracleRows(types), asked),
  };
}

async function writeData(data: Readonly<Record<string, readonly (object | string)[]>>): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'fhir-rounds-faults-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  for (const [type, resources] of Object.entries(data)) {
    const lines = resources.map((one) => (typeof one === 'string' ? one : JSON.stringify(one)));
    await writeFile(path.join(folder, `${type}.ndjson`), lines.join('\n'));
  }
  return folder;
}

/** Runs a row in this process by a clock that waits for nothing, and holds everything seen against what it says. */
export async function runRow(row: FaultRow): Promise<void> {
  const server: { sandbox?: Sandbox } = {};
  const clock = createVirtualClock(() => server.sandbox?.counts() ?? { inFlight: 0, total: 0 });
  const made = await siteOfRow(row, () => clock.now());
  const { site } = made;
  server.sandbox = site.sandbox;
  const askedAt: number[] = [];
  const sockets = new Set<unknown>();
  const note = (message: unknown): void => {
    askedAt.push(clock.monotonicMs());
    sockets.add((message as { readonly socket: unknown }).socket);
  };
  subscribe('http.server.request.start', note);
  onTestFinished(() => {
    unsubscribe('http.server.request.start', note);
  });

  const config = await loadConfig({ file: site.configFile, env: {} });
  const [job] = config.jobs;
  const { signal } = new AbortController();
  const access = await checkAccess(job!, signal);
  const { paths, logging } = job!.settings;
  const log = await openLog({ level: logging.level, target: 'file', folder: paths.log_folder, human: false });
  const around = { clock, log, random: () => 0.5, signal };
  const state = await openStateLedger(config, around, () => undefined);
  const shown: Record<string, string> = {};
  const run = async (retryFailed: boolean): Promise<RunSummary> => {
    const options = { fresh: false, retryFailed, acceptRoster: false, manual: true, patient: false };
    const summary = await state.use((ledger) =>
      runWith(job!, access, ledger, around, {
        command: 'fhir-rounds run',
        emit: (event) => (shown['events'] = `${shown['events'] ?? ''}${JSON.stringify(event)}\n`),
        options,
      }),
    );
    const report = renderReport(summary, { timezone: 'UTC', locale: 'en', full: true });
    shown[`screen ${summary.runId}`] = `${report.text}\n${report.html}\n${JSON.stringify(summary)}`;
    return summary;
  };
  try {
    const fromMs = clock.monotonicMs();
    const summary = await run(false);
    const seconds = (clock.monotonicMs() - fromMs) / 1000;
    const report = shown[`screen ${summary.runId}`]!;
    expectOutcome(row.expect, summary, report);
    expectTraffic(row.expect, site.sandbox, { askedAt, seconds, connections: sockets.size });
    expect(made.trap?.counts().total ?? 0, 'requests to another server').toBe(0);
    await expectPublished(row.expect, made, summary.folder);
    if (row.mail) await expectMail(row.mail, site, { around, state, again: () => run(false) });
    if (row.expect.recovers ?? (summary.searches.failed > 0 && summary.folder !== undefined)) {
      await expectRecovery(row.expect, made, await retry(site, run));
    }
  } finally {
    state.close();
    await log.close();
  }
  await expectNoLeak(site, shown, made.phi, made.tokens);
}

/** A story, and the canary over all that its site left to be read. */
export async function runStory({ tell }: FaultStory): Promise<void> {
  const tokens = watchTokens();
  const site = await tell();
  const { patientCount: patients, fhirBase } = site.sandbox;
  const population = generatedPopulation({ seed: 1, patients, special: false, fhirBase });
  await expectNoLeak(site, {}, wordsOf(patientsOf(population)), tokens);
}

function patientsOf(population: Population): readonly PatientResource[] {
  return [...population.patientIds()].flatMap((id): readonly PatientResource[] => {
    const text = population.read('Patient', id)?.text.toString('utf8');
    return [{ id }, ...(text === undefined ? [] : [JSON.parse(text) as PatientResource])];
  });
}

/** The fault is gone, and what failed is asked again. */
async function retry(site: Site, run: (retryFailed: boolean) => Promise<RunSummary>): Promise<RunSummary> {
  site.sandbox.setFaults([]);
  return run(true);
}

function expectOutcome(expected: Expected, summary: RunSummary, report: string): void {
  const causes = summary.causes.map(
    ({ outcome, resourceType, code, epicCode }) =>
      `${outcome} ${resourceType} ${code}${epicCode === undefined ? '' : `/${epicCode}`}`,
  );
  expect({ exit: exitCodeOf(summary), failure: summary.failure?.code, causes: causes.toSorted() }).toEqual({
    exit: expected.exit,
    failure: expected.failure,
    causes: (expected.causes ?? []).toSorted(),
  });
  const { planned, ok, empty, gap, failed } = summary.searches;
  expect(ok + empty + gap + failed, 'every planned search has its outcome').toBe(planned);
  if (expected.duplicates) expect(summary.duplicates).toEqual(expected.duplicates);
  for (const piece of expected.says ?? []) expect(report).toMatch(piece);
  for (const piece of expected.saysNot ?? []) expect(report).not.toMatch(piece);
}

interface Traffic {
  /** When each request came, in ms of the run's clock. */
  readonly askedAt: readonly number[];
  readonly seconds: number;
  readonly connections: number;
}

function expectTraffic(
  expected: Expected,
  sandbox: Sandbox,
  { askedAt, seconds, connections }: Traffic,
): void {
  const { total, byStatus, byEndpoint } = sandbox.counts();
  const within = (what: string, value: number, [least, most]: Range): void => {
    expect(value, what).toBeGreaterThanOrEqual(least);
    expect(value, what).toBeLessThanOrEqual(most);
  };
  expect(
    sandbox.faultsStruck().map((count) => count > 0),
    'every fault has struck',
  ).toEqual(sandbox.faultsStruck().map(() => true));
  if (expected.requests) within('requests', total, expected.requests);
  if (expected.tokens) within('token requests', byEndpoint['token'] ?? 0, expected.tokens);
  if (expected.connections) within('connections', connections, expected.connections);
  if (expected.seconds) within('seconds', seconds, expected.seconds);
  for (const [status, range] of Object.entries(expected.statuses ?? {})) {
    within(`answers ${status}`, byStatus[status] ?? 0, range);
  }
  if (expected.pauseSeconds !== undefined) {
    const gaps = askedAt.map((at, i) => (at - (askedAt[i - 1] ?? at)) / 1000);
    const longest = Math.max(...gaps);
    expect(longest, 'the longest time without a request').toBeGreaterThanOrEqual(expected.pauseSeconds);
    // Who were not held would ask all the rest before the time goes on.
    expect(gaps.indexOf(longest), 'requests before the pause').toBeLessThan(gaps.length / 2);
  }
}

export async function expectPublished(
  expected: Expected,
  { site, oracle }: RowSite,
  folder: string | undefined,
): Promise<void> {
  expect(folder === undefined).toBe(expected.exit === 1);
  if (folder === undefined) return;
  expect((await verifyFolder(folder)).damage).toEqual([]);
  const published = await readRun(folder);
  expectNothingTwice(published);
  const withheld = await withheldOf(expected, site.sandbox);
  const whole: OracleLine[] = [];
  for await (const line of oracle()) if (!withheld.has(`${line.type}/${line.id}`)) whole.push(line);
  if (expected.partOf === undefined) await expectExactly(published, whole);
  else await expectPart(expected.partOf, published, whole);
  expect(published.manifest.deleted).toEqual([]);
}

async function withheldOf(expected: Expected, sandbox: Sandbox): Promise<ReadonlySet<string>> {
  const names = new Set<string>();
  for (const { type, patients } of expected.withheld ?? []) {
    const ids = patients?.map((ordinal) => sandbox.patientIdAt(ordinal)!);
    for await (const { id } of sandbox.oracle([{ resource: type }], ids)) names.add(`${type}/${id}`);
  }
  return names;
}

/** All of the other types, and of these a true part. */
async function expectPart(
  types: readonly string[],
  published: Published,
  whole: readonly OracleLine[],
): Promise<void> {
  const known = new Set(whole.map(({ type, id, sha256 }) => `${type}/${id} ${sha256}`));
  const strange = published.lines.filter(
    ({ resourceType, id, sha256 }) => !known.has(`${resourceType}/${id} ${sha256}`),
  );
  expect(strange).toEqual([]);
  const counts = (list: readonly string[]) => (type: string) => list.filter((one) => one === type).length;
  const got = counts(published.lines.map(({ resourceType }) => resourceType));
  const wanted = counts(whole.map(({ type }) => type));
  for (const type of new Set(whole.map(({ type }) => type))) {
    if (types.includes(type)) expect(got(type), type).toBeLessThan(wanted(type));
    else expect(got(type), type).toBe(wanted(type));
  }
}

/** After `--retry-failed` only what the server refused for good is missing. */
async function expectRecovery(expected: Expected, made: RowSite, summary: RunSummary): Promise<void> {
  expect(summary.searches.failed).toBe(0);
  expect(summary.causes.filter(({ outcome }) => outcome === 'failed')).toEqual([]);
  const gapTypes = new Set(summary.causes.map(({ resourceType }) => resourceType));
  const withheld = (expected.withheld ?? []).filter(({ type }) => gapTypes.has(type));
  await expectPublished({ exit: 0, withheld }, made, summary.folder);
}
