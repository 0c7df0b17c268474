import { readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Ajv } from 'ajv';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DEMO_TYPES } from '../../src/commands/demo.ts';
import type { CliResult } from '../support/cli.ts';
import {
  currentOf,
  errorsOf,
  expectExactly,
  expectNothingTwice,
  newestRun,
  type ErrorLine,
  type Published,
} from '../support/publishedRun.ts';
import { makeSite, oracleRows, rosterOf, siteForTest, type Site } from '../support/site.ts';

/** 6 ordinary patients, then the special ones; the roster's line is the ordinal + 2. */
const ORDINARY = 6;
const MERGED = ORDINARY;
const LINE = { survivor: 2, merged: MERGED + 2, deleted: 9, breakTheGlass: 10, partial: 11 } as const;

describe('a full run of all types of the first users, in the Epic dialect, with special patients', () => {
  let site: Site;
  let result: CliResult;
  let published: Published;
  let errors: readonly ErrorLine[];

  beforeAll(async () => {
    site = await makeSite({ sandbox: { patients: ORDINARY, special: true }, resources: DEMO_TYPES });
    result = await site.run(['run']);
    published = await newestRun(site);
    errors = await errorsOf(published);
  });
  afterAll(() => site.close());

  it('publishes exactly what the server serves, and exits 0 since nothing failed', async () => {
    expect(result.code, result.stderr).toBe(0);
    await expectExactly(published, site.sandbox.oracle(oracleRows(DEMO_TYPES)));
    expect(published.manifest.extension.status).toBe('complete');
    expect(published.manifest.extension.searches.failed).toBe(0);
    expect(await currentOf(site)).toBe(published.runId);
  });

  it('names the deleted patient as a gap of each search', () => {
    const found = errors.filter(({ rosterLine }) => rosterLine === LINE.deleted);
    expect(new Set(found.map(({ code, epicCode }) => `${code} ${epicCode}`))).toEqual(
      new Set(['FHIR_DELETED 4103']),
    );
    expect(found.map(({ resourceType }) => resourceType)).toContain('Patient');
  });

  it('names the Break-the-Glass patient as a gap of each search', () => {
    const found = errors.filter(({ rosterLine }) => rosterLine === LINE.breakTheGlass);
    expect(new Set(found.map(({ code, epicCode }) => `${code} ${epicCode}`))).toEqual(
      new Set(['FHIR_ACCESS_DENIED 4134']),
    );
  });

  it('keeps what a silently partial answer brought, and names it as a gap', () => {
    const found = errors.filter(({ rosterLine }) => rosterLine === LINE.partial);
    expect(found.length).toBeGreaterThan(0);
    expect(new Set(found.map(({ code, epicCode }) => `${code} ${epicCode}`))).toEqual(
      new Set(['FHIR_DATA_WITHHELD 59204']),
    );
    const partialId = site.sandbox.patientIdAt(LINE.partial - 2)!;
    expect(published.lines.some(({ text }) => text.includes(`Patient/${partialId}`))).toBe(true);
  });

  it('has no gap but those, and counts them alike in manifest, errors and report', async () => {
    const lines = new Set(errors.map(({ rosterLine }) => rosterLine));
    expect(lines).toEqual(new Set([LINE.deleted, LINE.breakTheGlass, LINE.partial]));
    expect(errors).toHaveLength(published.manifest.extension.searches.gap);
    const report = await published.text('report.txt');
    for (const words of ['roster:9', 'roster:10', 'roster:11', '4103', '4134', '59204']) {
      expect(report).toContain(words);
    }
  });

  it('takes two roster ids of one merged patient as one patient, listed as merged', async () => {
    expectNothingTwice(published);
    const report = (await published.text('report.txt')).replace(/\s+/g, ' ');
    expect(report).toContain(
      `roster:${LINE.merged} and roster:${LINE.survivor} are one patient (a merged record`,
    );
    expect(errors.filter(({ rosterLine }) => rosterLine === LINE.merged)).toEqual([]);
  });

  it('has the fixed files, and every one of them in the manifest', async () => {
    const { manifest, files } = published;
    const listed = [
      ...manifest.output.map(({ url }) => url),
      ...manifest.error.map(({ url }) => url),
      ...manifest.extension.files.map(({ url }) => url),
    ];
    expect([...listed, 'manifest.json'].toSorted()).toEqual([...files]);
    expect(manifest.extension.files.map(({ url }) => url)).toEqual([
      'log.ndjson',
      'report.html',
      'report.txt',
    ]);
    expect(files).toContain('Patient.ndjson');
    const types = manifest.output.map(({ type }) => type);
    expect(types.toSorted()).toEqual(
      [...new Set(published.lines.map((line) => line.resourceType))].toSorted(),
    );
    for (const { url, type, count } of manifest.output) {
      expect(url).toBe(`${type}.ndjson`);
      expect(published.lines.filter(({ file }) => file === url)).toHaveLength(count);
    }
    expect(await readdir(path.join(site.exportFolder, 'default', '.staging'))).toEqual([]);
    expect(await readdir(path.join(site.stateFolder, 'runs'))).toEqual([]);
  });

  it('has a manifest that its schema allows', async () => {
    const schemaFile = path.join(import.meta.dirname, '../../src/publish/manifest.schema.json');
    const validate = new Ajv().compile(JSON.parse(await readFile(schemaFile, 'utf8')) as object);
    expect(validate(published.manifest), JSON.stringify(validate.errors)).toBe(true);
    expect(published.manifest.request).toBe(site.sandbox.fhirBase);
    const { planned, ok, empty, gap, failed } = published.manifest.extension.searches;
    expect(ok + empty + gap + failed).toBe(planned);
  });

  it('has a log in the format of the SMART bulk client', async () => {
    const lines = (await published.text('log.ndjson')).trimEnd().split('\n');
    const items = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    for (const item of items) {
      expect(Object.keys(item)).toEqual(['exportId', 'timestamp', 'eventId', 'eventDetail']);
      expect(item['exportId']).toBe(published.runId);
      expect(item['timestamp']).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    }
    const events = items.map((item) => item['eventId']);
    expect(events[0]).toBe('kickoff');
    expect(events.at(-1)).toBe('export_complete');
    expect(events.filter((event) => event === 'search_gap').length).toBeGreaterThan(0);
  });

  it('passes verify', async () => {
    const verified = await site.run(['verify', published.folder]);
    expect(verified.code, verified.stdout).toBe(0);
  });
});

describe('merged records', () => {
  it('are followed where the roster has the old id alone', async () => {
    const types = ['Patient', 'Observation', 'Condition', 'Encounter', 'Practitioner'];
    const site = await siteForTest({ sandbox: { patients: ORDINARY, special: true }, resources: types });
    await writeFile(site.rosterFile, rosterOf(site.sandbox, [MERGED, 1]));
    const { code, stderr, stdout } = await site.run(['run']);
    expect(code, stderr).toBe(0);
    const ids = [MERGED, 1].map((ordinal) => site.sandbox.patientIdAt(ordinal)!);
    const published = await newestRun(site);
    await expectExactly(published, site.sandbox.oracle(oracleRows(types), ids));
    const survivor = site.sandbox.patientIdAt(0)!;
    expect(published.lines.some((line) => line.resourceType === 'Patient' && line.id === survivor)).toBe(
      true,
    );
    expect(await errorsOf(published)).toEqual([]);
    expect(stdout).toMatch(/roster:2 [^]*merged/);
  });
});
