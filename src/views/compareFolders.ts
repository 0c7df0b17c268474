import { createHash } from 'node:crypto';
import path from 'node:path';
import { eachMember, endOfValue, nextToken, scanOf, stringAt } from '../fhir/jsonScan.ts';
import { readLines } from '../ndjson/reader.ts';
import type { Manifest } from '../publish/manifest.ts';

/**
 * Two published folders, record by record. A record is its type and id, its content the sha256 of its line. Files are
 * streamed; what is kept of a line are two 64-bit digests, in parts of at most PART_RECORDS records, so that memory
 * does not grow with a run. (Two ids of one type with equal digests: less likely than 1 in 10^6 at ten million.)
 */

export interface PublishedFolder {
  readonly folder: string;
  readonly manifest: Manifest;
}

export type ChangeKind = 'added' | 'changed' | 'absent';

export interface TypeComparison {
  readonly resourceType: string;
  /** Records in the first and in the second folder. */
  readonly before: number;
  readonly after: number;
  readonly added: number;
  readonly changed: number;
  readonly absent: number;
  readonly same: number;
}

export interface CompareOptions {
  readonly signal: AbortSignal;
  /** Is told of each record that is not the same in both; awaited. */
  readonly onChange?: (kind: ChangeKind, resourceType: string, resourceId: string) => Promise<void> | void;
  /** For tests. */
  readonly partRecords?: number;
}

const PART_RECORDS = 2_000_000;

/** Records by type as the manifests count them; reads no data. */
export function countsOf(
  before: Manifest,
  after: Manifest,
): readonly Pick<TypeComparison, 'resourceType' | 'before' | 'after'>[] {
  const count = ({ output }: Manifest, resourceType: string): number =>
    output.filter(({ type }) => type === resourceType).reduce((sum, file) => sum + file.count, 0);
  return typesOf(before, after).map((resourceType) => ({
    resourceType,
    before: count(before, resourceType),
    after: count(after, resourceType),
  }));
}

function typesOf(before: Manifest, after: Manifest): readonly string[] {
  return [...new Set([...before.output, ...after.output].map(({ type }) => type))];
}

/** Compares two folders, type by type. Reads `before` once more for those that are absent, where they are wanted. */
export async function compareFolders(
  before: PublishedFolder,
  after: PublishedFolder,
  options: CompareOptions,
): Promise<readonly TypeComparison[]> {
  const types: TypeComparison[] = [];
  for (const counts of countsOf(before.manifest, after.manifest)) {
    types.push(await compareType(counts, before, after, options));
  }
  return types;
}

async function compareType(
  counts: Pick<TypeComparison, 'resourceType' | 'before' | 'after'>,
  before: PublishedFolder,
  after: PublishedFolder,
  { signal, onChange, partRecords = PART_RECORDS }: CompareOptions,
): Promise<TypeComparison> {
  const { resourceType } = counts;
  const parts = BigInt(Math.max(1, Math.ceil(counts.before / partRecords)));
  const found = { added: 0, changed: 0, absent: 0, same: 0 };
  for (let part = 0n; part < parts; part++) {
    const isMine = (digest: bigint): boolean => digest % parts === part;
    const known = new DigestTable(Math.min(counts.before, Math.ceil((2 * counts.before) / Number(parts))));
    for await (const { idDigest, line } of recordsOf(before, resourceType, signal)) {
      if (isMine(idDigest)) known.put(idDigest, digestOf(line));
    }
    for await (const { id, idDigest, line } of recordsOf(after, resourceType, signal)) {
      if (!isMine(idDigest)) continue;
      const slot = known.find(idDigest);
      const kind =
        slot === undefined ? 'added' : known.contentAt(slot) === digestOf(line) ? 'same' : 'changed';
      if (slot !== undefined) known.see(slot);
      found[kind]++;
      if (kind !== 'same') await onChange?.(kind, resourceType, id);
    }
    found.absent += known.unseen;
    if (known.unseen === 0 || onChange === undefined) continue;
    for await (const { id, idDigest } of recordsOf(before, resourceType, signal)) {
      if (isMine(idDigest) && !known.isSeen(known.find(idDigest)!))
        await onChange('absent', resourceType, id);
    }
  }
  return { ...counts, ...found };
}

interface RecordLine {
  readonly id: string;
  readonly idDigest: bigint;
  readonly line: Buffer;
}

async function* recordsOf(
  { folder, manifest }: PublishedFolder,
  resourceType: string,
  signal: AbortSignal,
): AsyncGenerator<RecordLine> {
  for (const { type, url } of manifest.output) {
    if (type !== resourceType) continue;
    for await (const line of readLines(path.join(folder, url))) {
      signal.throwIfAborted();
      const id = idOf(line);
      yield { id, idDigest: digestOf(id), line };
    }
  }
}

/** The resource's own id: that of a contained one stands deeper. */
function idOf(line: Buffer): string {
  let id = '';
  const scan = scanOf(line);
  eachMember(scan, nextToken(scan, 0), 0, (key, at) => {
    const end = endOfValue(scan, at, 1);
    if (key === 'id') id = stringAt(scan, at, end) ?? '';
    return end;
  });
  return id;
}

function digestOf(content: Buffer | string): bigint {
  return createHash('sha256').update(content).digest().readBigUInt64LE();
}

/** Digests of contents by digest of id, in typed arrays with open addressing: 17 bytes a slot. */
class DigestTable {
  readonly #ids: BigUint64Array;
  readonly #contents: BigUint64Array;
  /** 0 empty, 1 there, 2 seen. */
  readonly #states: Uint8Array;
  #unseen = 0;

  constructor(records: number) {
    const slots = Math.ceil(Math.max(8, records) * 1.5);
    this.#ids = new BigUint64Array(slots);
    this.#contents = new BigUint64Array(slots);
    this.#states = new Uint8Array(slots);
  }

  put(id: bigint, content: bigint): void {
    const slot = this.#probe(id);
    if (this.#states[slot] === 0) this.#unseen++;
    this.#ids[slot] = id;
    this.#contents[slot] = content;
    this.#states[slot] = 1;
  }

  find(id: bigint): number | undefined {
    const slot = this.#probe(id);
    return this.#states[slot] === 0 ? undefined : slot;
  }

  contentAt(slot: number): bigint {
    return this.#contents[slot]!;
  }

  see(slot: number): void {
    if (this.#states[slot] === 1) this.#unseen--;
    this.#states[slot] = 2;
  }

  isSeen(slot: number): boolean {
    return this.#states[slot] === 2;
  }

  /** Records that were put in and not seen since. */
  get unseen(): number {
    return this.#unseen;
  }

  #probe(id: bigint): number {
    const slots = this.#states.length;
    let slot = Number(id % BigInt(slots));
    while (this.#states[slot] !== 0 && this.#ids[slot] !== id) slot = slot + 1 === slots ? 0 : slot + 1;
    return slot;
  }
}
