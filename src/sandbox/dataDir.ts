import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { compactJson, itemsOf, membersOf } from './jsonText.ts';
import { valuesAt } from './parameterMatch.ts';
import type { Population, StoredResource } from './population/types.ts';

const unzip = promisify(gunzip);
const DATA_FILE = /\.(ndjson|jsonl|json)(\.gz)?$/i;

/** Elements whose references make a resource a patient's own (the R4 patient compartment, reduced). */
const MEMBERSHIP = ['subject', 'patient', 'beneficiary', 'individual', 'for', 'participant.actor', 'target'];

interface Loaded {
  readonly text: Buffer;
  /** The entry's fullUrl, where it came in a Bundle. */
  readonly fullUrl: string | undefined;
}

/** The resources of one compact JSON document: a Bundle's, or the one that it is. */
function resourcesOf(document: Buffer): Loaded[] {
  const members = membersOf(document, 0);
  const type = members.find((member) => member.key === 'resourceType');
  if (type && document.toString('utf8', type.start, type.end) !== '"Bundle"')
    return [{ text: document, fullUrl: undefined }];
  const entry = members.find((member) => member.key === 'entry');
  if (!entry) return [];
  return itemsOf(document, entry.start).flatMap((item): Loaded[] => {
    const parts = membersOf(document, item.start);
    const resource = parts.find((part) => part.key === 'resource');
    const url = parts.find((part) => part.key === 'fullUrl');
    if (!resource) return [];
    const fullUrl = url && (JSON.parse(document.toString('utf8', url.start, url.end)) as string);
    return [{ text: Buffer.from(document.subarray(resource.start, resource.end)), fullUrl }];
  });
}

interface Head {
  readonly resourceType: string;
  readonly id?: string;
}

/** One file's resources, references of a transaction (`urn:uuid:`) written as `Type/id` in the bytes. */
function resolved(
  loaded: readonly Loaded[],
): { readonly text: Buffer; readonly parsed: Head & { id: string } }[] {
  const withHeads = loaded.map(({ text, fullUrl }) => {
    const parsed = JSON.parse(text.toString('utf8')) as Head;
    if (parsed.id !== undefined) return { text, fullUrl, type: parsed.resourceType, id: parsed.id };
    // A server gives an id to what is created; the urn's is at hand.
    const id = (fullUrl ?? '').replace(/^.*[:/]/, '');
    if (id === '') throw new Error(`a ${parsed.resourceType} has neither id nor fullUrl`);
    const rest = text.subarray(1);
    return {
      text: Buffer.concat([Buffer.from(`{"id":${JSON.stringify(id)},`), rest]),
      fullUrl,
      type: parsed.resourceType,
      id,
    };
  });
  const targets = new Map<string, string>();
  for (const { fullUrl, type, id } of withHeads) {
    if (fullUrl?.startsWith('urn:')) targets.set(fullUrl, `${type}/${id}`);
  }
  return withHeads.map(({ text }) => {
    // Inside a JSON string these quotes would be escaped, so only real members match.
    const bytes =
      targets.size > 0 && text.includes('"reference":"urn:')
        ? Buffer.from(
            text.toString('utf8').replace(/"reference":"(urn:[^"\\]+)"/g, (all, urn: string) => {
              const target = targets.get(urn);
              return target === undefined ? all : `"reference":"${target}"`;
            }),
          )
        : text;
    return { text: bytes, parsed: JSON.parse(bytes.toString('utf8')) as Head & { id: string } };
  });
}

function* linesOf(content: Buffer): Iterable<Buffer> {
  let start = 0;
  while (start < content.length) {
    const newline = content.indexOf(0x0a, start);
    const end = newline < 0 ? content.length : newline;
    const line = compactJson(content.subarray(start, end));
    if (line.length > 0) yield line;
    start = end + 1;
  }
}

/**
 * A population from a folder of NDJSON files and JSON Bundles, plain or gzipped (other files are passed over).
 * Texts are the files' own with white space between tokens removed; of two resources with one type and id the
 * first stays. Throws what the file system or a JSON parser throws.
 */
export async function dataDirPopulation(folder: string): Promise<Population> {
  const byKey = new Map<string, StoredResource>();
  const compartments = new Map<string, Map<string, StoredResource[]>>();
  const patientIds: string[] = [];
  const byIdentifier = new Map<
    string,
    { readonly system: string | undefined; readonly patient: StoredResource }[]
  >();
  const provenance = new Map<string, StoredResource[]>();
  const unowned = new Map<string, StoredResource[]>();
  const carePlanCategories = new Set<string>();
  const types = new Set<string>();

  function add(text: Buffer, parsed: Head & { id: string }): void {
    const { resourceType: type, id } = parsed;
    if (byKey.has(`${type}/${id}`)) return;
    const references = (path: string) =>
      valuesAt(parsed, [...path.split('.'), 'reference']).filter(
        (value): value is string => typeof value === 'string',
      );
    const owners = new Set(type === 'Patient' ? [id] : []);
    for (const reference of MEMBERSHIP.flatMap(references)) {
      const [, owner] = /(?:^|\/)Patient\/([^/?]+)$/.exec(reference) ?? [];
      if (owner !== undefined) owners.add(owner);
    }
    const resource: StoredResource = { type, id, text, patients: [...owners] };
    byKey.set(`${type}/${id}`, resource);
    types.add(type);
    for (const owner of owners) {
      const ofPatient = compartments.get(owner) ?? new Map<string, StoredResource[]>();
      compartments.set(owner, ofPatient);
      const ofType = ofPatient.get(type);
      if (ofType) ofType.push(resource);
      else ofPatient.set(type, [resource]);
    }
    if (owners.size === 0) {
      const ofType = unowned.get(type);
      if (ofType) ofType.push(resource);
      else unowned.set(type, [resource]);
    }
    if (type === 'Patient') {
      patientIds.push(id);
      for (const { system, value } of valuesAt(parsed, ['identifier']) as {
        system?: string;
        value?: string;
      }[]) {
        if (value === undefined) continue;
        byIdentifier.set(value, [...(byIdentifier.get(value) ?? []), { system, patient: resource }]);
      }
    }
    if (type === 'Provenance') {
      for (const target of references('target'))
        provenance.set(target, [...(provenance.get(target) ?? []), resource]);
    }
    if (type === 'CarePlan') {
      for (const code of valuesAt(parsed, ['category', 'coding', 'code']))
        carePlanCategories.add(String(code));
    }
  }

  for (const name of (await readdir(folder)).filter((file) => DATA_FILE.test(file)).sort()) {
    const bytes = await readFile(join(folder, name));
    const content = /\.gz$/i.test(name) ? await unzip(bytes) : bytes;
    const documents = /\.(ndjson|jsonl)(\.gz)?$/i.test(name) ? [...linesOf(content)] : [compactJson(content)];
    for (const { text, parsed } of resolved(documents.flatMap(resourcesOf))) add(text, parsed);
  }

  const known = new Set(patientIds);
  return {
    size: patientIds.length,
    patientIds: () => patientIds,
    patientIdAt: (ordinal) => patientIds[ordinal],
    standing: (patientId) => (known.has(patientId) ? { kind: 'present' } : undefined),
    read: (type, id) => byKey.get(`${type}/${id}`),
    compartment: (patientId, type) => compartments.get(patientId)?.get(type) ?? [],
    patientsByIdentifier: (system, value) => [
      ...new Set(
        (byIdentifier.get(value) ?? [])
          .filter((known) => system === undefined || known.system === system)
          .map((known) => known.patient),
      ),
    ],
    provenanceOf: (resource) => provenance.get(`${resource.type}/${resource.id}`) ?? [],
    unowned: (type) => unowned.get(type) ?? [],
    types: [...types].sort(),
    carePlanCategories: [...carePlanCategories].sort(),
  };
}
