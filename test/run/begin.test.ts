import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { mailsByRun } from '../crash/aftermath.ts';
import { photographRun, restore, type Image } from '../crash/crashing.ts';
import { makeSmallSite, type SmallSite } from '../crash/smallRun.ts';
import { heldBy, namesIn } from '../support/asked.ts';
import { until } from '../support/cli.ts';
import { expectExactly, newestRun } from '../support/publishedRun.ts';
import { afterRequests, CLIENT_ID, siteKey, type Site } from '../support/site.ts';
import { runHere } from '../support/runHere.ts';

const ANOTHER_CLIENT = 'another-client';

interface Crashed extends SmallSite {
  /** Of the run that a crash left open. */
  readonly runId: string;
}

/** A site whose run crashed at the first operation of which this holds. */
async function crashed(isIt: (image: Image) => boolean): Promise<Crashed> {
  const small = await makeSmallSite();
  onTestFinished(() => small.close());
  const { images } = await photographRun(small.site, ['run', '--quiet', '--no-mail'], { cuts: 0, seed: 1 });
  const image = images.find(isIt);
  expect(image).toBeDefined();
  await restore(small.site, image);
  const { runId } = await heldBy(small.site);
  small.sandbox.registerClient({ clientId: ANOTHER_CLIENT, jwks: siteKey().jwks });
  return { ...small, runId: runId! };
}

/** Its folder is renamed into place, and no more. */
const afterPublishing = ({ kind }: Image): boolean => kind === 'write exports/default/.current.json.DRAFT';
const whilePulling = ({ kind }: Image): boolean => /^(create|write) .*Practitioner/.test(kind);

/** Runs by what became of them, newest first. */
async function ends(site: Site): Promise<readonly (readonly [string, string, string | undefined])[]> {
  const { stdout } = await site.run(['runs', '--json']);
  const runs = JSON.parse(stdout) as readonly { runId: string; state: string; status?: string }[];
  return runs.map(({ runId, state, status }) => [runId, state, status]);
}

describe('a run that is published, and whose close was interrupted', () => {
  it.each([
    { what: 'the client id', changes: { 'oauth_settings.client_id': ANOTHER_CLIENT }, fresh: false },
    { what: 'nothing, and --fresh is asked for', changes: {}, fresh: true },
  ])('is closed as published when $what has changed, and the next begins', async ({ changes, fresh }) => {
    const { site, sandbox, runId } = await crashed(afterPublishing);
    await site.configure(changes);
    expect(await runHere(site, { fresh })).toBe(0);
    const [[next], ...others] = (await ends(site)) as [[string], ...unknown[]];
    expect(next).not.toBe(runId);
    expect(others).toEqual([[runId, 'closed', 'complete']]);
    expect([...mailsByRun(sandbox).keys()].toSorted()).toEqual([runId, next].toSorted());
    expect(await namesIn(path.join(site.stateFolder, 'runs'))).toEqual([]);
  });

  it('is closed where it lies when the export folder has changed', async () => {
    const { site, runId } = await crashed(afterPublishing);
    await site.configure({ 'paths.epic_data_export_folder': 'elsewhere' });
    expect(await runHere(site)).toBe(0);
    const text = await readFile(path.join(site.exportFolder, 'default', 'current.json'), 'utf8');
    expect(JSON.parse(text)).toMatchObject({ runId, status: 'complete' });
    const [[next], ...others] = (await ends(site)) as [[string], ...unknown[]];
    expect(others).toEqual([[runId, 'closed', 'complete']]);
    expect(await namesIn(site.path('elsewhere', 'default'))).toContain(next);
  });
});

describe('a run that was interrupted while it pulled', () => {
  it('is refused to a person when the client id has changed, and goes on when it is back', async () => {
    const { site, sandbox, runId } = await crashed(whilePulling);
    await site.configure({ 'oauth_settings.client_id': ANOTHER_CLIENT });
    const asked = sandbox.counts().total;
    await expect(runHere(site)).rejects.toMatchObject({ code: 'RUN_NOT_RESUMABLE' });
    expect(sandbox.counts().total).toBe(asked);
    await site.configure({ 'oauth_settings.client_id': CLIENT_ID });
    expect(await runHere(site)).toBe(0);
    expect(await ends(site)).toEqual([[runId, 'closed', 'complete']]);
  });

  it('leaves nothing in the old export folder when it is abandoned for another', async () => {
    const { site, runId } = await crashed(whilePulling);
    expect(await namesIn(path.join(site.exportFolder, 'default', '.staging'))).toEqual([runId]);
    await site.configure({ 'paths.epic_data_export_folder': 'elsewhere' });
    expect(await runHere(site, { fresh: true })).toBe(0);
    expect((await ends(site)).at(-1)).toEqual([runId, 'closed', 'abandoned']);
    expect(await namesIn(path.join(site.exportFolder, 'default', '.staging'))).toEqual([]);
  });
});

describe('a roster that is written anew once it was checked', () => {
  it('is not what the run works from, and what was checked is', async () => {
    const small = await makeSmallSite();
    onTestFinished(() => small.close());
    const { site, sandbox, oracle } = small;
    await site.configure({ 'api_settings.max_attempts': 3 });
    // For a backoff's time.
    sandbox.setFaults([{ match: { endpoint: 'metadata' }, when: { first: 1 }, then: { status: 503 } }]);
    const isAsked = afterRequests(sandbox, 1);
    const running = runHere(site);
    await until('a first request', isAsked);
    await writeFile(site.rosterFile, 'fhir_id\nnot an id\n');
    expect(await running).toBe(0);
    await expectExactly(await newestRun(site), oracle);
  });
});

describe('--retry-failed', () => {
  it('is refused when nothing has failed, and when the failed run had another export folder', async () => {
    const small = await makeSmallSite();
    onTestFinished(() => small.close());
    const { site, sandbox } = small;
    expect(await runHere(site)).toBe(0);
    await expect(runHere(site, { retryFailed: true })).rejects.toMatchObject({ code: 'RUN_UNKNOWN' });
    sandbox.setFaults([
      { match: { endpoint: 'search', type: 'Condition', patient: 1 }, then: { status: 503 } },
    ]);
    expect(await runHere(site)).toBe(3);
    await site.configure({ 'paths.epic_data_export_folder': 'elsewhere' });
    await expect(runHere(site, { retryFailed: true })).rejects.toMatchObject({ code: 'RUN_NOT_RESUMABLE' });
  });
});
