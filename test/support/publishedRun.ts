import { createHash } from 'node:crypto';
import { readdir, readFile, readlink, stat } from 'node:fs/promises';
import path from 'node:path';
import { expect } from 'vitest';
import type { OracleLine } from '../../src/sandbox/startSandbox.ts';
import type { Manifest } from '../../src/publish/manifest.ts';
import type { Site } from './site.ts';

/** A published run as its files say, read by code of the tests' own. */
export interface Published {
  readonly folder: string;
  readonly runId: string;
  readonly manifest: Manifest;
  readonly lines: readonly PublishedLine[];
  /** Every file of the folder, relative, sorted. */
  readonly files: readonly string[];
  text(name: string): Promise<string>;
  bytes(name: string): Promise<Buffer>;
}

export interface PublishedLine {
  readonly file: string;
  readonly resourceType: string;
  readonly id: string;
  readonly text: string;
  readonly sha256: string;
}

const NO_RESOURCES: ReadonlySet<string> = new Set(['log.ndjson', 'attachments.ndjson']);
const RUN_ID = /^\d{8}T\d{6}Z-[0-9a-f]{4}$/;

/** The published runs of a job, oldest first. */
export async function runsOf(site: Site, job = 'default'): Promise<readonly string[]> {
  const names = await readdir(path.join(site.exportFolder, job)).catch(() => []);
  const runs = names.filter((name) => RUN_ID.test(name));
  const at = await Promise.all(
    runs.map(async (name) => (await stat(path.join(site.exportFolder, job, name, 'manifest.json'))).mtimeMs),
  );
  return runs
    .map((name, i) => ({ name, at: at[i]! }))
    .toSorted((a, b) => a.at - b.at)
    .map(({ name }) => name);
}

/** The newest published run of a job; fails when there is none. */
export async function newestRun(site: Site, job = 'default'): Promise<Published> {
  const runId = (await runsOf(site, job)).at(-1);
  if (runId === undefined) throw new Error(`job ${job} has published nothing`);
  return readRun(path.join(site.exportFolder, job, runId));
}

export async function readRun(folder: string): Promise<Published> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)).replaceAll('\\', '/'))
    .toSorted();
  const text = (name: string) => readFile(path.join(folder, name), 'utf8');
  const lines: PublishedLine[] = [];
  // By what lies in the folder and not by what the manifest names, so that nothing can hide.
  for (const file of files) {
    const isData = file.endsWith('.ndjson') && !NO_RESOURCES.has(file) && !/^(error|deleted)\//.test(file);
    if (!isData) continue;
    const content = await text(file);
    expect(content === '' || content.endsWith('\n'), `${file} ends with a line feed`).toBe(true);
    for (const line of content.split('\n').slice(0, -1)) {
      const { resourceType, id } = JSON.parse(line) as { resourceType: string; id: string };
      lines.push({
        file,
        resourceType,
        id,
        text: line,
        sha256: createHash('sha256').update(line).digest('hex'),
      });
    }
  }
  const manifest = JSON.parse(await text('manifest.json')) as Manifest;
  const bytes = (name: string) => readFile(path.join(folder, name));
  return { folder, runId: path.basename(folder), manifest, lines, files, text, bytes };
}

/** Exactly once and byte for byte: the run's lines are the oracle's, and no type and id stands in it twice. */
export async function expectExactly(
  published: Published,
  oracle: AsyncIterable<OracleLine> | Iterable<OracleLine>,
): Promise<void> {
  const expected: string[] = [];
  for await (const { type, id, sha256 } of oracle) expected.push(`${type}/${id} ${sha256}`);
  const found = published.lines.map(({ resourceType, id, sha256 }) => `${resourceType}/${id} ${sha256}`);
  expect(expected.length).toBeGreaterThan(0);
  const wanted = new Set(expected);
  const got = new Set(found);
  expect({
    missing: expected.filter((line) => !got.has(line)).slice(0, 5),
    added: found.filter((line) => !wanted.has(line)).slice(0, 5),
  }).toEqual({ missing: [], added: [] });
  expectNothingTwice(published);
  expect(found).toHaveLength(expected.length);
}

export function expectNothingTwice({ lines }: Published): void {
  const seen = new Set<string>();
  const twice = lines
    .map(({ resourceType, id }) => `${resourceType}/${id}`)
    .filter((name) => seen.size === seen.add(name).size);
  expect(twice).toEqual([]);
}

/** A gap or failure of `error/OperationOutcome.ndjson`. */
export interface ErrorLine {
  readonly outcome: string;
  readonly resourceType: string;
  readonly code: string;
  readonly epicCode: string | undefined;
  readonly rosterLine: number | undefined;
}

/** The gaps and failures as FHIR, checked against the manifest's own count. */
export async function errorsOf(published: Published): Promise<readonly ErrorLine[]> {
  const remarks = /^error\/server(\.\d+)?\.ndjson$/;
  const [listed, ...others] = published.manifest.error.filter(({ url }) => !remarks.test(url));
  if (listed === undefined) return [];
  expect(others).toEqual([]);
  expect(listed.url).toBe('error/OperationOutcome.ndjson');
  const lines = (await published.text(listed.url)).trimEnd().split('\n');
  expect(lines).toHaveLength(listed.count);
  return lines.map((line) => {
    const outcome = JSON.parse(line) as OperationOutcome;
    expect(outcome.resourceType).toBe('OperationOutcome');
    const issue = outcome.issue[0]!;
    const extension = (name: string) => issue.extension.find(({ url }) => url.endsWith(`/${name}`));
    const coded = (name: string) =>
      issue.details.coding.find(({ system }) => system.endsWith(`/${name}`))?.code;
    return {
      outcome: extension('search-outcome')!.valueCode!,
      resourceType: extension('resource-type')!.valueCode!,
      code: coded('code')!,
      epicCode: coded('epic-code'),
      rosterLine: extension('roster-line')?.valueInteger,
    };
  });
}

interface OperationOutcome {
  readonly resourceType: string;
  readonly issue: readonly {
    readonly extension: readonly { url: string; valueCode?: string; valueInteger?: number }[];
    readonly details: { readonly coding: readonly { system: string; code: string }[] };
  }[];
}

/** Where `current` points: undefined when nothing is current; both ways of saying it must agree. */
export async function currentOf(site: Site, job = 'default'): Promise<string | undefined> {
  const folder = path.join(site.exportFolder, job);
  const text = await readFile(path.join(folder, 'current.json'), 'utf8').catch(() => undefined);
  const link = await readlink(path.join(folder, 'current')).catch(() => undefined);
  if (text === undefined) {
    expect(link).toBeUndefined();
    return undefined;
  }
  const current = JSON.parse(text) as { runId: string; path: string; status: string };
  expect(current).toEqual({ runId: link, path: link, status: 'complete' });
  return current.runId;
}
