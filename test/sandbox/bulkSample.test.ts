import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { startSandbox } from '../../src/sandbox/startSandbox.ts';
import { exported, GROUP, keysOf, tokenAt } from './support/bulk.ts';
import { resourceTexts, rsaKey, sha256, type Parsed } from './support/client.ts';

const repository = resolve(import.meta.dirname, '../..');
const sample = process.env['FHIR_ROUNDS_SAMPLE_DATA'] ?? resolve(repository, '../shared/fhir-data');
const synthea = [join(sample, 'spezi-synthea-us-core'), sample].find(
  (folder) => existsSync(folder) && readdirSync(folder).some((name) => name.endsWith('.json.gz')),
);

interface Line {
  readonly type: string;
  readonly id: string;
  readonly sha256: string;
  readonly patientId: string;
}

/** The lines of each file, its transaction's references resolved: one patient a file. */
function linesOfFile(path: string): Line[] {
  const text = gunzipSync(readFileSync(path)).toString('utf8');
  const { entry }: Parsed = JSON.parse(text);
  const targets = new Map<string, string>();
  for (const { fullUrl, resource } of entry) targets.set(fullUrl, `${resource.resourceType}/${resource.id}`);
  const patientId = entry.find(({ resource }: Parsed) => resource.resourceType === 'Patient').resource.id;
  return resourceTexts(text).map((resource, index) => {
    const line = resource.replace(/"reference":"(urn:uuid:[^"]+)"/g, (all, urn: string) =>
      targets.has(urn) ? `"reference":"${targets.get(urn)}"` : all,
    );
    const { resourceType: type, id } = entry[index].resource;
    return { type, id, sha256: sha256(line), patientId };
  });
}

describe.runIf(synthea !== undefined)('the Synthea sample', () => {
  it('is exported byte for byte as in its files: the system, and a group', async () => {
    const folder = synthea ?? '';
    const files = readdirSync(folder).filter((name) => name.endsWith('.json.gz'));
    const lines = files.sort().flatMap((name) => linesOfFile(join(folder, name)));
    const unique = [...new Map(lines.map((line) => [`${line.type}/${line.id}`, line])).values()];
    expect(unique.length).toBe(8849);
    const member = lines[0]?.patientId ?? '';
    const sandbox = await startSandbox({
      smtp: false,
      dialect: 'us-core',
      dataDir: folder,
      bulk: { polls: 0, resourcesPerFile: 500, groups: { [GROUP]: [member] } },
    });
    try {
      const token = await tokenAt(sandbox, rsaKey(), Date.now());
      const system = await exported(sandbox, token, '$export');
      expect(keysOf(system.lines)).toEqual(keysOf(unique));
      const group = await exported(sandbox, token, `Group/${GROUP}/$export`);
      expect(keysOf(group.lines)).toEqual(keysOf(lines.filter((line) => line.patientId === member)));
    } finally {
      await sandbox.close();
    }
  });
});
