import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect } from 'vitest';
import type { Published } from './publishedRun.ts';
import { siteForTest, type Site, type SiteSettings } from './site.ts';
import { temporaryFolder } from './temporaryFolder.ts';

/** Documents as the tests invent them: a sandbox is served from these files, and what a run must hold is reckoned from them. */

export interface Attachment {
  readonly contentType?: string;
  readonly url?: string;
  readonly data?: string;
  readonly size?: number;
}

export interface World {
  /** Content and MIME type of each Binary by its id. */
  readonly binaries: Readonly<Record<string, readonly [contentType: string, content: Buffer]>>;
  /** By `Type/id`, each with one attachment or more. */
  readonly documents: Readonly<Record<string, readonly Attachment[]>>;
}

/** A line of `attachments.ndjson`. */
export interface IndexLine {
  readonly resource: string;
  readonly place: string;
  readonly path: string;
  readonly contentType?: string;
  readonly bytes: number;
  readonly url?: string;
}

export const base64 = (content: Buffer | string): string => Buffer.from(content).toString('base64');

export const sha256 = (content: Buffer): string => createHash('sha256').update(content).digest('hex');

/** So many bytes of every value, that no text passes for; differing by `salt`. */
export function bytesOf(size: number, salt: number): Buffer {
  return Buffer.from(Array.from({ length: size }, (_, at) => (at * 7 + at ** 2 * salt + salt) % 256));
}

export interface DocumentSite {
  readonly site: Site;
  /** How often each Binary was asked for, by its id. */
  readonly asked: () => Readonly<Record<string, number>>;
}

export const TYPES = ['Patient', 'DocumentReference', 'DiagnosticReport'];

/** A site whose one patient has these documents. */
export async function documentSite(
  { binaries, documents }: World,
  settings: SiteSettings = {},
  resources: readonly string[] = TYPES,
  latencyMs = 0,
): Promise<DocumentSite> {
  const dataDir = path.join(await temporaryFolder(), 'served');
  await mkdir(dataDir);
  const served = [
    { resourceType: 'Patient', id: 'somebody', name: [{ family: 'Some' }] },
    ...Object.entries(binaries).map(([id, [contentType, content]]) => ({
      resourceType: 'Binary',
      id,
      contentType,
      ...(content.length === 0 ? {} : { data: base64(content) }),
    })),
    ...Object.entries(documents).map(([name, attachments]) => {
      const [resourceType, id] = name.split('/');
      return {
        resourceType,
        id,
        subject: { reference: 'Patient/somebody' },
        ...(resourceType === 'DiagnosticReport'
          ? { presentedForm: attachments }
          : { content: attachments.map((attachment) => ({ attachment })) }),
      };
    }),
  ];
  await writeFile(path.join(dataDir, 'served.ndjson'), served.map((one) => JSON.stringify(one)).join('\n'));
  const site = await siteForTest({
    sandbox: { dataDir, latencyMs, smtp: false },
    resources,
    mail: false,
    settings: { 'attachments.download': 'true', 'api_settings.max_attempts': 2, ...settings },
  });
  const asked = (): Record<string, number> => {
    const counts: Record<string, number> = {};
    for (const { type, path: url } of site.sandbox.requests) {
      if (type !== 'Binary') continue;
      const id = url.split('/').at(-1)!;
      counts[id] = (counts[id] ?? 0) + 1;
    }
    return counts;
  };
  return { site, asked };
}

/** The index of a run, in the order of resource and place; each line's file is checked against its hash and size. */
export async function indexOf(published: Published): Promise<readonly IndexLine[]> {
  const text = await published.text('attachments.ndjson');
  const lines = text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as IndexLine);
  return lines.toSorted((a, b) => (a.resource + a.place < b.resource + b.place ? -1 : 1));
}

/** What the index must say of one attachment. */
export function indexLine(
  resource: string,
  at: number,
  content: Buffer,
  { contentType, url }: Pick<Attachment, 'contentType' | 'url'>,
): IndexLine {
  return {
    resource,
    place: resource.startsWith('Diagnostic') ? `presentedForm[${at}]` : `content[${at}].attachment`,
    path: `attachments/${sha256(content)}`,
    ...(contentType === undefined ? {} : { contentType }),
    bytes: content.length,
    ...(url === undefined ? {} : { url }),
  };
}

/** The files of `attachments/` are these contents, each once, and the manifest names them by their hashes. */
export async function expectContents(published: Published, contents: readonly Buffer[]): Promise<void> {
  const expected = [...new Set(contents.map((content) => `attachments/${sha256(content)}`))].toSorted();
  const there = published.files.filter((file) => file.startsWith('attachments/'));
  expect(there).toEqual(expected);
  const named = published.manifest.extension.files.filter(({ url }) => url.startsWith('attachments/'));
  expect(named.map(({ url }) => url)).toEqual(expected);
  for (const { url, bytes, sha256: hash } of named) {
    const content = await published.bytes(url);
    expect([bytes, hash]).toEqual([content.length, sha256(content)]);
    expect(url).toBe(`attachments/${hash}`);
  }
}
