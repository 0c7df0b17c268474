import { readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { bulkExport, loadConfig, readNdjson, runJob, startSandbox, type RunTold } from '../../src/index.ts';
import { verifyFolder } from '../../src/publish/verify.ts';
import { EPIC_SANDBOX_GROUP } from '../../src/sandbox/startSandbox.ts';
import { rejection } from '../support/rejection.ts';
import { CLIENT_ID, siteForTest, siteKey } from '../support/site.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

describe('runJob', () => {
  it('is a whole run: published, told of, mailed unless told otherwise', async () => {
    const site = await siteForTest({ sandbox: { patients: 3 } });
    const config = await loadConfig(site.configFile, { env: {} });
    const told: RunTold[] = [];
    const summary = await runJob(config, undefined, { mail: false, onEvent: (event) => told.push(event) });
    expect(summary).toMatchObject({ status: 'complete', patients: 3 });
    expect((await verifyFolder(summary.folder!)).damage).toEqual([]);
    expect(told.map(({ event }) => event)).toEqual(expect.arrayContaining(['run.started', 'run.closed']));
    expect(site.sandbox.smtp!.mails.length).toBe(0);
    await runJob(config);
    // The first one's mail waited.
    expect(site.sandbox.smtp!.mails.length).toBe(2);
    expect(await readdir(site.logFolder)).toEqual(['fhir-rounds.log']);
  });

  it('goes on after an abort, and two at once are refused', async () => {
    const site = await siteForTest({ sandbox: { patients: 3, smtp: false }, mail: false });
    const config = await loadConfig(site.configFile, { env: {} });
    site.sandbox.setFaults([{ match: { endpoint: 'search' }, then: { hang: true } }]);
    const ended = new AbortController();
    const running = rejection(runJob(config, 'default', { signal: ended.signal }));
    await expect.poll(() => site.sandbox.counts().inFlight).toBeGreaterThan(0);
    const held = await rejection(runJob(config));
    expect([held.code, held.message.includes('runJob default')]).toEqual(['LOCK_HELD', true]);
    const { RoundsError } = await import('../../src/index.ts');
    ended.abort(new RoundsError('INTERRUPTED', 'enough'));
    expect((await running).code).toBe('INTERRUPTED');
    site.sandbox.setFaults([]);
    expect(await runJob(config)).toMatchObject({ status: 'complete', resumed: 1 });
    expect(await rejection(runJob(config, 'weekly'))).toMatchObject({ code: 'USAGE' });
  });
});

describe('bulkExport', () => {
  it(
    'publishes a group’s export, and goes on with the same one after an abort',
    { timeout: 60_000 },
    async () => {
      const folder = await temporaryFolder();
      const { jwks, pem } = siteKey();
      const clients = [{ clientId: CLIENT_ID, jwks }];
      const sandbox = await startSandbox({ smtp: false, patients: 3, clients, bulk: { polls: 2 } });
      onTestFinished(() => sandbox.close());
      const privateKeyFile = path.join(folder, 'key.pem');
      await writeFile(privateKeyFile, pem, { mode: 0o600 });
      const { fhirBase: endpoint } = sandbox;
      const ended = new AbortController();
      const options = {
        ...{
          endpoint,
          clientId: CLIENT_ID,
          keyId: 'e2e-key',
          privateKeyFile,
          folder: path.join(folder, 'bulk'),
        },
        ...{ groupId: EPIC_SANDBOX_GROUP, types: ['Patient', 'Condition'] },
      };
      const stopping = bulkExport({
        ...options,
        signal: ended.signal,
        onEvent: ({ event }) => void (event === 'export.waits' && ended.abort(new Error('enough'))),
      });
      await expect(stopping).rejects.toThrow();
      // Epic would refuse a second kick-off for a day: it is the same export.
      const summary = await bulkExport(options);
      expect(summary).toMatchObject({ status: 'complete', method: 'bulk', resumed: 1 });
      expect(path.relative(folder, summary.folder!)).toBe(
        path.join('bulk', 'exports', 'bulk', summary.runId),
      );
      let patients = 0;
      for await (const _ of readNdjson(summary.folder!, 'Patient')) patients++;
      expect(patients).toBe(3);
    },
  );

  it('says all that is wrong in its options at once', async () => {
    const error = await rejection(bulkExport({ endpoint: 'https://host.example', types: [] } as never));
    expect(error.problems.map(({ where }) => where).toSorted()).toEqual([
      'clientId',
      'folder',
      'groupId',
      'privateKeyFile',
      'types',
    ]);
  });
});
