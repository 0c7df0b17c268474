import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { dataDirPopulation } from '../../src/sandbox/dataDir.ts';
import { startSandbox } from '../../src/sandbox/startSandbox.ts';
import {
  collected,
  compacted,
  getFhir,
  nextOf,
  resourceTexts,
  rsaKey,
  sha256,
  tokenFor,
} from './support/client.ts';

async function inFolder(
  files: Readonly<Record<string, string | Buffer>>,
  check: (folder: string) => Promise<void>,
) {
  const folder = await mkdtemp(join(tmpdir(), 'sandbox-data-'));
  try {
    for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content);
    await check(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

describe('a data folder', () => {
  const bundle = `{
    "resourceType" : "Bundle", "type":"transaction",
    "entry": [
      { "fullUrl":"urn:uuid:aaaa-1", "resource": { "resourceType":"Patient", "id":"p1",
          "identifier":[{"system":"urn:s","value":"M1"}] }, "request":{"method":"POST","url":"Patient"} },
      { "resource": { "resourceType":"Observation", "id":"o1", "status":"final",
          "identifier":[{"value":"urn:uuid:aaaa-1"}],
          "category":[{"coding":[{"code":"laboratory"}]}],
          "subject":{ "reference" : "urn:uuid:aaaa-1" }, "performer":[{"reference":"Practitioner?identifier=x|1"}],
          "valueQuantity":{ "value": 1.50 }, "note":[{"text":"says \\"reference\\":\\"urn:uuid:aaaa-1\\" "}] } },
      { "fullUrl":"urn:uuid:bbbb-2", "resource": { "resourceType":"Goal", "subject":{"reference":"urn:uuid:aaaa-1"} } }
    ] }`;
  const ndjson =
    '{"resourceType":"Condition","id":"c1","subject":{"reference":"Patient/p1"}}\n\n' +
    '{"resourceType":"Condition","id":"c1","subject":{"reference":"Patient/p1"},"code":{"text":"second copy"}}\r\n' +
    '{"resourceType":"Provenance","id":"v1","target":[{"reference":"Condition/c1"}]}\n' +
    '{"resourceType":"CarePlan","id":"cp","subject":{"reference":"Patient/p1"},"category":[{"coding":[{"code":"assess-plan"}]}]}';

  it('is read from Bundles and NDJSON, plain and gzipped, its references resolved in the bytes', async () => {
    await inFolder(
      { 'a.json': bundle, 'b.ndjson.gz': gzipSync(ndjson), 'LICENSE.txt': 'not data' },
      async (folder) => {
        const population = await dataDirPopulation(folder);
        expect([...population.patientIds()]).toEqual(['p1']);
        const observation = population.read('Observation', 'o1');
        expect(observation?.text.toString()).toBe(
          '{"resourceType":"Observation","id":"o1","status":"final","identifier":[{"value":"urn:uuid:aaaa-1"}],' +
            '"category":[{"coding":[{"code":"laboratory"}]}],"subject":{"reference":"Patient/p1"},' +
            '"performer":[{"reference":"Practitioner?identifier=x|1"}],"valueQuantity":{"value":1.50},' +
            '"note":[{"text":"says \\"reference\\":\\"urn:uuid:aaaa-1\\" "}]}',
        );
        expect(population.compartment('p1', 'Observation')).toEqual([observation]);
        expect(population.read('Goal', 'bbbb-2')?.patients).toEqual(['p1']);
        const [condition, ...more] = population.compartment('p1', 'Condition');
        expect([more.length, condition?.text.includes('second copy')]).toEqual([0, false]);
        expect(condition && population.provenanceOf(condition).map((p) => p.id)).toEqual(['v1']);
        expect(population.patientsByIdentifier('urn:s', 'M1').map((p) => p.id)).toEqual(['p1']);
        expect(population.patientsByIdentifier('urn:t', 'M1')).toEqual([]);
        expect(population.carePlanCategories).toEqual(['assess-plan']);
      },
    );
  });
});

const repository = resolve(import.meta.dirname, '../..');
const sample = process.env['FHIR_ROUNDS_SAMPLE_DATA'] ?? resolve(repository, '../shared/fhir-data');
const synthea = [join(sample, 'spezi-synthea-us-core'), sample].find(
  (folder) => existsSync(folder) && readdirSync(folder).some((name) => name.endsWith('.json.gz')),
);

describe.runIf(synthea !== undefined)('the Synthea sample', () => {
  it('is served byte for byte as in its files', async () => {
    const folder = synthea ?? '';
    const wanted = new Map<string, string>();
    let trailingZeros = 0;
    for (const name of readdirSync(folder).filter((file) => file.endsWith('.json.gz'))) {
      const text = gunzipSync(readFileSync(join(folder, name))).toString('utf8');
      const targets = new Map<string, string>();
      const bundle = JSON.parse(text) as {
        entry: { fullUrl: string; resource: { resourceType: string; id: string } }[];
      };
      for (const { fullUrl, resource } of bundle.entry)
        targets.set(fullUrl, `${resource.resourceType}/${resource.id}`);
      const texts = resourceTexts(text);
      expect(texts.length).toBe(bundle.entry.length);
      for (const [index, resource] of texts.entries()) {
        const replaced = resource.replace(/"reference":"(urn:uuid:[^"]+)"/g, (all, urn: string) => {
          const target = targets.get(urn);
          return target === undefined ? all : `"reference":"${target}"`;
        });
        if (/[:[,]-?\d+\.\d*0[,}\]]/.test(replaced)) trailingZeros += 1;
        wanted.set(targets.get(bundle.entry[index]?.fullUrl ?? '') ?? '', replaced);
      }
    }
    expect(wanted.size).toBe(8849);
    expect(trailingZeros).toBeGreaterThan(100);

    const sandbox = await startSandbox({ smtp: false, dataDir: folder, dialect: 'us-core' });
    try {
      const types = [...new Set([...wanted.keys()].map((key) => key.split('/')[0] ?? ''))];
      const lines = await collected(sandbox.oracle(types.map((resource) => ({ resource }))));
      expect(lines.length).toBe(new Set(lines.map((line) => `${line.type}/${line.id}`)).size);
      for (const { type, id, sha256: hash } of lines) {
        expect(hash).toBe(sha256(wanted.get(`${type}/${id}`) ?? ''));
      }
      expect(lines.length).toBe(wanted.size);

      const token = await tokenFor(sandbox, rsaKey());
      const served = new Map<string, string>();
      const patient = sandbox.patientIdAt(1) ?? '';
      let next: string | undefined = `Observation?patient=${patient}&_count=50`;
      while (next !== undefined) {
        const page = await getFhir(sandbox, token, next);
        for (const text of resourceTexts(page.text)) {
          served.set(`Observation/${(JSON.parse(text) as { id: string }).id}`, text);
        }
        next = nextOf(page.json);
      }
      expect(served.size).toBeGreaterThan(100);
      for (const [key, text] of served) expect(text).toBe(wanted.get(key));
      const [unknown] = [...wanted].find(([key]) => key.startsWith('Encounter/')) ?? [];
      const read = await getFhir(sandbox, token, unknown ?? '');
      expect(compacted(read.text)).toBe(wanted.get(unknown ?? ''));
    } finally {
      await sandbox.close();
    }
  });
});
