import { readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { forgetLostIndexes } from '../../../src/console/records/indexes.ts';
import { receiveUpload } from '../../../src/console/records/uploads.ts';
import { newestRun, type Published } from '../../support/publishedRun.ts';
import { rejection } from '../../support/rejection.ts';
import { runHere } from '../../support/runHere.ts';
import { makeSite, type Site as Installation } from '../../support/site.ts';
import { readSourceBundles, sampleBundles } from '../../support/sourceBundles.ts';
import { HOSTILE_LINES, LIVE_MARKUP } from './hostile.ts';
import { consoleOf, type Console, type Page } from './support.ts';

const TYPES = [
  ...['Patient', 'Observation', 'Condition', 'Encounter', 'MedicationRequest', 'Immunization', 'Procedure'],
  ...['DiagnosticReport', 'AllergyIntolerance', 'DocumentReference', 'CarePlan', 'Coverage'],
  ...['ExplanationOfBenefit', 'Appointment', 'Goal'],
];
const NEVER = new AbortController().signal;

let installation: Installation;
let run: Published;
let pages: Console;

beforeAll(async () => {
  installation = await makeSite({ mail: false, resources: TYPES });
  await runHere(installation);
  run = await newestRun(installation);
  pages = await consoleOf(installation);
}, 120_000);

afterAll(() => installation.close());

/** As a browser does it: a page that says it is not done is asked for again. */
async function shown(target: string): Promise<Page> {
  for (;;) {
    const page = await pages.get(target);
    if (page.headers?.['refresh'] === undefined) return page;
    expect(page.text).toContain('<progress');
  }
}

/** Every file of the export folder with its size and time. */
async function exportFiles(): Promise<readonly string[]> {
  const entries = await readdir(installation.exportFolder, { recursive: true });
  const found = await Promise.all(
    entries.map(async (name) => {
      const { size, mtimeMs } = await stat(path.join(installation.exportFolder, name));
      return `${name} ${size} ${mtimeMs}`;
    }),
  );
  return found.toSorted();
}

const linesOf = (type: string) => run.lines.filter(({ resourceType }) => resourceType === type);

describe('a published run', () => {
  test('is listed with its types and counts', async () => {
    expect((await pages.get('/data')).text).toContain(`href="/data/${run.runId}"`);
    const { text } = await pages.get(`/data/${run.runId}`);
    for (const type of TYPES) expect(text).toContain(`/data/${run.runId}/${type}"`);
  });

  test('has a table of every type, and its export folder is left alone', async () => {
    const before = await exportFiles();
    for (const type of TYPES) {
      const { text } = await shown(`/data/${run.runId}/${type}`);
      const { length } = linesOf(type);
      expect(text.match(/<tr>/g) ?? [], type).toHaveLength(1 + Math.min(50, length));
      expect(text, type).toMatch(new RegExp(`>\\s*${length} resources?,`));
    }
    expect(await exportFiles()).toEqual(before);
  });

  test('is downloaded as NDJSON byte for byte, whole and filtered', async () => {
    const table = `/data/${run.runId}/Observation`;
    await shown(table);
    const whole = await pages.get(`${table}/-/ndjson`);
    expect(whole.headers?.['content-disposition']).toBe(
      `attachment; filename="${run.runId}-Observation.ndjson"`,
    );
    expect(whole.text).toBe(
      linesOf('Observation')
        .map(({ text }) => `${text}\n`)
        .join(''),
    );
    const { id, text } = linesOf('Observation')[3]!;
    expect((await pages.get(`${table}/-/ndjson?in.id=%3D${id}`)).text).toBe(`${text}\n`);
  });

  test('is downloaded as CSV: the chosen columns, a row each', async () => {
    const table = `/data/${run.runId}/Patient`;
    await shown(table);
    const { text } = await pages.get(`${table}/-/csv?columns=born,id&sort=id`);
    const [head, ...rows] = text.trimEnd().split('\r\n');
    expect(head).toBe('\ufeffBorn,Id');
    const expected = linesOf('Patient').map(
      ({ id, text: line }) => `${JSON.parse(line).birthDate ?? ''},${id}`,
    );
    expect(rows.toSorted()).toEqual(expected.toSorted());
  });

  test('is sorted, filtered and paged by its address', async () => {
    const table = `/data/${run.runId}/Observation`;
    const all = linesOf('Observation').length;
    const last = await shown(`${table}?page=${Math.ceil(all / 50)}&sort=-id`);
    expect(last.text.match(/<th scope="row"/g)).toHaveLength(all % 50 || 50);
    expect(last.text).toContain('aria-sort="descending"');
    const none = await shown(`${table}?filter=nothing-has-this`);
    expect(none.text).toContain(`0 of ${all} resources`);
    for (const bad of ['page=0', 'page=x', 'sort=nothing', 'columns=nothing', 'in.nothing=x']) {
      expect((await rejection(pages.get(`${table}?${bad}`))).code, bad).toBe('CONSOLE_ASK_INVALID');
    }
  });

  test('shows one resource as a tree whose references lead on, and as its exact text', async () => {
    await shown(`/data/${run.runId}/Patient`);
    const { id, text } = linesOf('Condition')[0]!;
    const page = await shown(`/data/${run.runId}/Condition/${id}`);
    const { subject } = JSON.parse(text) as { readonly subject: { readonly reference: string } };
    const patientId = subject.reference.split('/').at(-1)!;
    expect(page.text).toContain(`href="/data/${run.runId}/Patient/${patientId}"`);
    expect(page.text).toContain(`href="/data/${run.runId}/patients/${patientId}"`);
    expect(page.patientId).toBe(patientId);
    expect((await pages.get(`/data/${run.runId}/Condition/${id}/exact`)).text).toBe(text);
    expect(page.text).toContain('Exact text');
  });

  test('shows a patient’s record over all types, and whose it is for the audit', async () => {
    const { id } = linesOf('Patient')[0]!;
    const page = await shown(`/data/${run.runId}/patients/${id}`);
    expect(page.patientId).toBe(id);
    const own = run.lines.filter(
      ({ resourceType, text, id: lineId }) =>
        text.includes(`"Patient/${id}"`) || (resourceType === 'Patient' && lineId === id),
    );
    for (const heading of ['Problems', 'Medications', 'Allergies', 'Documents', 'Timeline']) {
      expect(page.text).toContain(heading);
    }
    const [, listed] = /role="status">([\d,]+) resources?, the newest first/.exec(page.text) ?? [];
    expect(Number(listed!.replaceAll(',', ''))).toBe(own.length);
    const conditions = await shown(`/data/${run.runId}/patients/${id}?type=Condition`);
    const timeline = conditions.text.slice(conditions.text.indexOf('class="timeline"'));
    expect(timeline).toContain('<span class="badge">Condition</span>');
    expect(timeline).not.toContain('<span class="badge">Observation</span>');
  });

  test('what is not there is said, and no address leads out of it', async () => {
    const missing = [
      ...['/data/20200101T000000Z-0000', '/data/..%2F..%2Fetc', `/data/${run.runId}/Nothing`],
      ...[
        `/data/${run.runId}/..%2F..`,
        `/data/${run.runId}/Patient/nobody`,
        `/data/${run.runId}/Patient/-?row=0`,
      ],
      ...[`/data/${run.runId}/Patient/-?row=99999`, `/data/${run.runId}/patients/nobody`],
    ];
    for (const target of missing) {
      expect((await rejection(shown(target))).code, target).toBe('CONSOLE_NOT_FOUND');
    }
  });
});

describe('an upload', () => {
  test('is looked at line by line: what is no resource is named by its number, without its content', async () => {
    const lines = [
      '{"resourceType":"Patient","id":"a"}',
      'secret name',
      '',
      '{"id":"no type"}',
      '{"resourceType":"Patient","id":"b"} x',
      '{"resourceType":"../../etc","id":"c"}',
      '["secret"]',
      '{"resourceType":"Condition","id":"d"}\r',
      '{"resourceType":"Patient","id":"cut',
    ];
    const { text, status } = await pages.post('/uploads?name=a.ndjson', lines.join('\n'));
    expect(status).toBe(201);
    const answer = JSON.parse(text) as Record<string, unknown>;
    expect(answer).toMatchObject({ types: { Patient: 1, Condition: 1 }, badLines: 6, label: 'a.ndjson' });
    expect((answer['bad'] as { line: number }[]).map(({ line }) => line)).toEqual([2, 4, 5, 6, 7, 9]);
    expect(text).not.toContain('secret');
    const source = await shown(answer['href'] as string);
    expect(source.text).toContain('line 2 is no JSON object');
    expect(source.text).not.toContain('secret');
    const table = await shown(`${answer['href'] as string}/Patient`);
    expect(table.text).toMatch(/>\s*1 resource,/);
  });

  test('comes in pieces of any size, and has another line of any type in each', async () => {
    const text = Buffer.from(run.lines.map((line) => `${line.text}\n`).join(''));
    const pieces = function* (): Generator<Buffer> {
      for (let from = 0, no = 0; from < text.length; from += 1 + ((no * 7919) % 5_000), no++) {
        yield text.subarray(from, from + 1 + ((no * 7919) % 5_000));
      }
    };
    const answer = await pages.post('/uploads?name=all', Readable.from(pieces()));
    const { href, badLines, types } = JSON.parse(answer.text);
    expect(badLines).toBe(0);
    expect(types).toMatchObject({ Observation: linesOf('Observation').length, Goal: linesOf('Goal').length });
    await shown(`${href}/Observation`);
    expect((await pages.get(`${href}/Observation/-/ndjson`)).text).toBe(
      linesOf('Observation')
        .map((line) => `${line.text}\n`)
        .join(''),
    );
  });

  test('too large, or without a resource, is refused, and nothing of it is kept', async () => {
    const folder = path.join(pages.site.folder, 'uploads');
    const before = await readdir(folder).catch(() => []);
    const body = () => Readable.from([Buffer.from('{"resourceType":"Patient"}\n'.repeat(10))]);
    const tooLarge = receiveUpload(pages.site, 'x', body(), NEVER, { bytes: 100, lineBytes: 1000 });
    expect((await rejection(tooLarge)).code).toBe('CONSOLE_ASK_INVALID');
    const longLine = receiveUpload(pages.site, 'x', body(), NEVER, { bytes: 1000, lineBytes: 10 });
    expect((await rejection(longLine)).message).toContain('line 1 is longer than 10 B');
    expect((await rejection(pages.post('/uploads?name=x', ''))).code).toBe('CONSOLE_ASK_INVALID');
    const gone = receiveUpload(pages.site, 'x', body(), AbortSignal.abort(new Error('gone')));
    await expect(gone).rejects.toThrow('gone');
    expect(await readdir(folder).catch(() => [])).toEqual(before);
  });

  test('may have an id twice, and resources without one: each is shown', async () => {
    const lines = [
      '{"resourceType":"Basic","id":"t","a":1}',
      '{"resourceType":"Basic","id":"t","a":2}',
      '{"resourceType":"Basic","a":3}',
    ];
    const source = await pages.upload('twice', lines.join('\n'));
    const first = await shown(`/data/${source}/Basic/t`);
    expect(first.text).toContain('stands 2 times');
    expect(first.text).toContain(`href="/data/${source}/Basic/t?row=1"`);
    expect((await pages.get(`/data/${source}/Basic/t/exact?row=1`)).text).toBe(lines[1]);
    expect((await pages.get(`/data/${source}/Basic`)).text).toContain(`href="/data/${source}/Basic/-?row=2"`);
    expect((await pages.get(`/data/${source}/Basic/-/exact?row=2`)).text).toBe(lines[2]);
  });

  test('lies where only its owner reads it, and is gone with its index when it is deleted', async () => {
    const source = await pages.upload('../../../x.ndjson', '{"resourceType":"Basic","id":"a"}');
    await shown(`/data/${source}/Basic`);
    const folders = ['uploads', 'indexes'].map((name) => path.join(pages.site.folder, name, source));
    for (const folder of folders) {
      for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
        const { mode } = await stat(path.join(entry.parentPath, entry.name));
        expect((mode & 0o077).toString(8), entry.name).toBe('0');
      }
    }
    expect(await pages.post(`/uploads/${source}/delete`)).toMatchObject({
      status: 303,
      headers: { location: '/data' },
    });
    for (const folder of folders) await expect(stat(folder)).rejects.toThrow('ENOENT');
    expect((await rejection(pages.get(`/data/${source}`))).code).toBe('CONSOLE_NOT_FOUND');
    expect((await rejection(pages.post('/uploads/..%2F..%2Fx/delete'))).code).toBe('CONSOLE_NOT_FOUND');
  });

  test('is listed also where another one is damaged, and has no more types than FHIR', async () => {
    const damaged = await pages.upload('damaged', '{"resourceType":"Basic","id":"a"}');
    await rm(path.join(pages.site.folder, 'uploads', damaged, 'upload.json'));
    const letters = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZ'];
    const types = letters.flatMap((a) => letters.map((b) => `${a}x${b}`));
    const source = await pages.upload('types', types.map((type) => `{"resourceType":"${type}"}`).join('\n'));
    const { status, text } = await pages.get('/data');
    expect([status, text.includes(source), text.includes(damaged)]).toEqual([200, true, false]);
    expect((await pages.get(`/data/${source}`)).text).toContain('line 201 is of one more type than 200');
  });

  test('may have ids that no address can hold', async () => {
    const source = await pages.upload('half', String.raw`{"resourceType":"Basic","id":"\ud800x"}`);
    expect((await shown(`/data/${source}/Basic`)).status).toBe(200);
    expect((await pages.get(`/data/${source}/Basic/-/csv`)).text).toContain('x');
  });

  test('full of tricks does nothing', async () => {
    const source = await pages.upload('<script>alert(1)</script>', HOSTILE_LINES.join('\n'));
    const targets = [
      ...[
        '/data',
        `/data/${source}`,
        `/data/${source}/Patient`,
        `/data/${source}/Basic`,
        `/data/${source}/Basic/x`,
      ],
      ...[`/data/${source}/Observation?filter=script`, `/data/${source}/Observation`],
      ...[`/data/${source}/Observation?filter=${encodeURIComponent('"><script>alert(1)</script>')}`],
      ...[`/data/${source}/Observation/no-shape`, `/data/${source}/Observation/%3Cb%3E`],
      ...[`/data/${source}/Observation/${encodeURIComponent('../../../../etc/passwd')}`],
      ...[`/data/${source}/Observation/-?row=2`, `/data/${source}/Patient/hostile`],
      `/data/${source}/patients/hostile`,
    ];
    for (const target of targets) {
      const { text } = await shown(target);
      expect(text, target).not.toMatch(LIVE_MARKUP);
      // Every attribute that could lead somewhere leads within the console.
      for (const [, href] of text.matchAll(/(?:href|action|src)="([^"]*)"/g)) {
        expect(href, target).toMatch(/^(\/(?!\/)|#)/);
        expect(href, target).not.toMatch(/\/\.\.?(\/|$)/);
      }
      expect(text, target).not.toMatch(/ style=| on[a-z]+="/);
    }
    const record = await shown(`/data/${source}/patients/hostile`);
    expect(record.text).toContain('critically high');
    const { text } = await pages.get(`/data/${source}/Patient/-/csv?columns=gender,born,address`);
    expect(text.split('\r\n')[1]).toBe(
      `'+1+1,"'=HYPERLINK(""http://evil.example"",""x"")","'@SUM(A1), \u202egnp.exe"`,
    );
  });
});

const sample = sampleBundles();

describe.skipIf(sample === undefined)('real-looking data of eight patients', () => {
  test('is shown whole: blood pressures as one value, charts, and a record of each patient', async () => {
    const resources = await readSourceBundles(sample!);
    const text = resources.map((resource) => `${resource.text}\n`).join('');
    const source = await pages.upload('sample', Buffer.from(text, 'latin1'));
    const table = await shown(`/data/${source}/Observation?in.what=blood+pressure&in.value=mmHg`);
    expect(table.text).toMatch(/<bdi>\d+\/\d+ mmHg<\/bdi>/);
    for (const { resourceType, id } of resources) {
      if (resourceType !== 'Patient') continue;
      const record = await shown(`/data/${source}/patients/${id}`);
      expect(record.text).toContain('<polyline');
      // What names the patient as its subject, by a reading of this test's own.
      const own = resources.filter(
        (one) =>
          (one.resourceType === 'Patient' && one.id === id) ||
          new RegExp(`"(subject|patient)":\\{"reference":"Patient/${id}"`).test(one.text),
      );
      const [, listed] = /role="status">([\d,]+) resources?, the newest first/.exec(record.text) ?? [];
      expect(Number(listed!.replaceAll(',', ''))).toBe(own.length);
    }
  });
});

test('an index goes with its run, and one that is damaged is built anew', async () => {
  const site = await makeSite({ mail: false, resources: ['Patient'] });
  try {
    await runHere(site);
    const { runId, folder } = await newestRun(site);
    const other = await consoleOf(site);
    const ask = async (): Promise<Page> => {
      for (;;) {
        const page = await other.get(`/data/${runId}/Patient`);
        if (page.headers?.['refresh'] === undefined) return page;
      }
    };
    const first = await ask();
    const index = path.join(other.site.folder, 'indexes', runId, 'Patient');
    await writeFile(path.join(index, 'rows'), 'x');
    // Another console, as after a crash: nothing is held open.
    const again = await consoleOf(site);
    const { text } = await again
      .get(`/data/${runId}/Patient`)
      .then(async (page) => (page.headers ? ask() : page));
    expect(text.match(/<th scope="row"/g)).toEqual(first.text.match(/<th scope="row"/g));
    expect((await readFile(path.join(index, 'rows'))).length).toBeGreaterThan(1);
    await forgetLostIndexes(other.site);
    expect(await readdir(path.join(other.site.folder, 'indexes'))).toEqual([runId]);
    await rm(folder, { recursive: true });
    await forgetLostIndexes(other.site);
    expect(await readdir(path.join(other.site.folder, 'indexes'))).toEqual([]);
    expect((await rejection(other.get(`/data/${runId}/Patient`))).code).toBe('RUN_FOLDER_GONE');
  } finally {
    await site.close();
  }
});
