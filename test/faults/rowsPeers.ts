import { mkdir, readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect } from 'vitest';
import { expectExactly, newestRun, readRun, runsOf } from '../support/publishedRun.ts';
import { listOf, oracleRows, rosterOf, siteForTest } from '../support/site.ts';
import { always, ONE } from './rowsAnswers.ts';
import type { FaultRow, FaultStory } from './row.ts';

/** What other programs that pull FHIR were seen to get wrong: each failure of theirs is a row here. */
export const PEER_ROWS: readonly FaultRow[] = [
  {
    title: 'one search fails three times and more',
    result:
      'Not lost and not "complete": partial, exit 3, named in `error/`. `run --retry-failed` asks for it again.',
    faults: always({ status: 503 }),
    settings: { 'api_settings.max_attempts': 3 },
    expect: {
      exit: 3,
      causes: ['failed Condition HTTP_SERVER'],
      withheld: [{ type: 'Condition', patients: [1] }],
      recovers: true,
    },
  },
  {
    title: 'three connections in a row are reset',
    result: 'A few seconds of backoff, not minutes.',
    faults: [{ match: ONE, when: { nth: [1, 2, 3] }, then: { reset: true } }],
    expect: { exit: 0, seconds: [0, 8], statuses: { 0: [3, 3] } },
  },
  {
    title: 'an OperationOutcome stands among the entries of a first page',
    result: 'The pages after it come all the same.',
    faults: [{ match: { endpoint: 'search', type: 'Encounter' }, then: { outcomeEntry: '4119' } }],
    expect: { exit: 0, says: ['4119'] },
  },
  {
    title: 'the roster begins with a byte order mark',
    result: 'Read like any other.',
    roster: (sandbox) => `\uFEFF${rosterOf(sandbox)}`,
    expect: { exit: 0 },
  },
  {
    title: 'an MRN of the roster matches nobody',
    result: 'A gap named by its roster line, for each type; everybody else comes.',
    roster: (sandbox) =>
      ['fhir_id,mrn', ...[0, 1, 2].map((n) => `${sandbox.patientIdAt(n)},`), ',unknown-mrn-77', ''].join(
        '\n',
      ),
    expect: {
      exit: 0,
      causes: ['Patient', 'Condition', 'Encounter'].map((type) => `gap ${type} MRN_UNMATCHED`),
      says: [/roster:5|line 5|lines? 5/],
    },
  },
  {
    title: 'a run makes many requests',
    result: 'Over a few connections that are kept: at most one for each worker, and one more.',
    sandbox: { patients: 20 },
    expect: { exit: 0, requests: [60, 400], connections: [1, 6] },
  },
];

const TYPES = ['Patient', 'Condition', 'Encounter'];

export const PEER_STORIES: readonly FaultStory[] = [
  {
    title: 'a search that came yesterday fails today',
    result:
      'Yesterday’s folder stays as it is, `current` still leads to it, and nobody is told of a deletion.',
    tell: async () => {
      const site = await siteForTest({
        sandbox: { patients: 3, smtp: false },
        resources: TYPES,
        mail: false,
        settings: { 'api_settings.max_attempts': 1 },
      });
      expect((await site.run(['run'])).code).toBe(0);
      const first = await newestRun(site);
      site.sandbox.setFaults(always({ badJson: true }));
      expect((await site.run(['run'])).code).toBe(3);
      const second = await newestRun(site);
      expect(await runsOf(site)).toEqual([first.runId, second.runId]);
      expect(second.manifest.deleted).toEqual([]);
      expect((await site.run(['verify', first.folder])).code).toBe(0);
      await expectExactly(
        await readRun(path.join(site.exportFolder, 'default', 'current')),
        site.sandbox.oracle(oracleRows(TYPES)),
      );
      return site;
    },
  },
  {
    title: 'the process is killed in the middle of a transfer',
    result: 'No half file under a final name; the next start goes on and the set is exact.',
    tell: async () => {
      const site = await siteForTest({
        sandbox: { patients: 5, smtp: false, latencyMs: 30 },
        resources: TYPES,
        mail: false,
        settings: { 'api_settings.page_size': 3 },
      });
      await site.stopWhen(() => site.sandbox.counts().total > 12, 'SIGKILL', ['run']);
      expect(await runsOf(site)).toEqual([]);
      expect((await site.run(['run'])).code).toBe(0);
      await expectExactly(await newestRun(site), site.sandbox.oracle(oracleRows(TYPES)));
      return site;
    },
  },
  {
    title: 'a second run of a job is started beside the first',
    result:
      'Exit 5, with process, machine and start of the one that holds the lock; the first is not disturbed.',
    tell: async () => {
      // Time enough for the second to come while the first is at it.
      const patience = [{ match: ONE, when: { nth: [1] }, then: { status: 429, retryAfter: 6 } }];
      const site = await siteForTest({
        sandbox: { patients: 3, smtp: false, faults: patience },
        resources: TYPES,
        mail: false,
      });
      const { ended } = await site.start(['run']);
      while (site.sandbox.faultsStruck()[0] === 0) await new Promise((resolve) => setTimeout(resolve, 5));
      expect((await site.run(['run'])).code).toBe(5);
      expect((await ended).code).toBe(0);
      await expectExactly(await newestRun(site), site.sandbox.oracle(oracleRows(TYPES)));
      return site;
    },
  },
  {
    title: 'the export folder holds other files',
    result: 'Nothing of it is touched.',
    tell: async () => {
      const site = await siteForTest({ sandbox: { patients: 1, smtp: false }, mail: false });
      await mkdir(path.join(site.exportFolder, 'default'), { recursive: true, mode: 0o700 });
      await writeFile(path.join(site.exportFolder, 'default', 'Patient.ndjson'), 'mine');
      await writeFile(path.join(site.exportFolder, 'notes.txt'), 'mine');
      await writeFile(site.resourcesFile, listOf(['Patient']));
      const { code, stderr } = await site.run(['run']);
      expect(code, stderr).toBe(0);
      expect(await readdir(site.exportFolder)).toContain('notes.txt');
      expect(await readdir(path.join(site.exportFolder, 'default'))).toContain('Patient.ndjson');
      return site;
    },
  },
];
