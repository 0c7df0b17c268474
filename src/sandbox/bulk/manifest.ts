import { randomBytes } from 'node:crypto';
import type { FaultAction } from '../faults.ts';
import type { ExportFile } from './exportFiles.ts';
import type { ExportJob } from './exports.ts';
import type { BulkSettings } from './options.ts';

/** Where an export's URLs are. */
export interface ManifestPlaces {
  readonly settings: BulkSettings;
  /** The status URL of an export. */
  readonly statusUrl: (exportId: string) => string;
  /** Origin of the files; `other` of the other listener. */
  readonly fileOrigin: (other: boolean) => string;
  readonly now: () => number;
}

/** Files of a manifest when the client allows partial ones and no option says otherwise. */
const PARTIAL_FILES = 5;

function pageSize(job: ExportJob, settings: BulkSettings): number {
  return settings.filesPerManifest ?? (job.request.allowPartialManifests ? PARTIAL_FILES : Infinity);
}

/** Numbers of the files (from 1) that a page of the manifest lists; the `error` files stand on every page. */
function pageFiles(job: ExportJob, settings: BulkSettings, page: number): readonly number[] {
  const numbers = (job.files ?? []).flatMap((file, index) => (file.kind === 'error' ? [] : [index + 1]));
  const size = pageSize(job, settings);
  return size === Infinity ? numbers : numbers.slice((page - 1) * size, page * size);
}

export function pageCount(job: ExportJob, settings: BulkSettings): number {
  const files = (job.files ?? []).filter((file) => file.kind !== 'error').length;
  return Math.max(1, Math.ceil(files / pageSize(job, settings)));
}

/** The set of URLs in force: a new one when there is none, or the last has lived more than half of its life. */
function urlSet(job: ExportJob, { settings, now }: ManifestPlaces): string {
  const [last] = [...job.issuedAtMs].slice(-1);
  const halfLife = ((settings.urlLifeSeconds ?? Infinity) * 1000) / 2;
  if (last && now() - last[1] <= halfLife) return last[0];
  const name = randomBytes(8).toString('hex');
  job.issuedAtMs.set(name, now());
  return name;
}

/** Until when the URLs of the newest set can be used, in ms since 1970. */
export function urlsExpireAtMs(job: ExportJob, settings: BulkSettings, filesExpireAtMs: number): number {
  const [last] = [...job.issuedAtMs.values()].slice(-1);
  const life = (settings.urlLifeSeconds ?? Infinity) * 1000;
  return last === undefined ? filesExpireAtMs : Math.min(filesExpireAtMs, last + life);
}

/**
 * A page of the output manifest (3.0.0, "Output Manifest"): all pages say the same but for `output`, `deleted` and
 * `link`. `lastAvailable`: the last page that there is by now.
 */
export function manifestOf(
  job: ExportJob,
  page: number,
  lastAvailable: number,
  places: ManifestPlaces,
  fault: FaultAction | undefined,
): Record<string, unknown> {
  const { settings } = places;
  const files = job.files ?? [];
  const set = urlSet(job, places);
  const origin = places.fileOrigin(
    settings.filesOnOtherOrigin || (fault !== undefined && 'toOtherOrigin' in fault),
  );
  const path = new URL(places.statusUrl(job.exportId)).pathname;
  const isOwnOrigin = places.statusUrl(job.exportId).startsWith(`${origin}/`);
  const base = settings.urls === 'absolute' ? origin : isOwnOrigin ? '' : origin.slice(origin.indexOf('//'));
  const urlOf = (number: number) => `${base}${path}/files/${set}/${number}.ndjson`;
  const wrongBy = fault && 'wrongCountBy' in fault ? fault.wrongCountBy : 0;
  const times = fault && 'listedTwice' in fault ? 2 : 1;

  const entries = (kind: ExportFile['kind'], numbers: readonly number[]) =>
    numbers.flatMap((number) => {
      const file = files[number - 1];
      if (file?.kind !== kind) return [];
      const entry = {
        ...(file.type === undefined ? {} : { type: file.type }),
        url: urlOf(number),
        ...(settings.counts ? { count: file.count + wrongBy } : {}),
        ...(file.continuesIn === undefined ? {} : { continuesInFile: urlOf(file.continuesIn) }),
      };
      return Array.from({ length: times }, () => entry);
    });
  const listed = pageFiles(job, settings, page);
  const nextUrl = `${settings.urls === 'absolute' ? new URL(places.statusUrl(job.exportId)).origin : ''}${path}/manifest/${page + 1}`;
  const manifest: Record<string, unknown> = {
    transactionTime: new Date(job.startedAtMs).toISOString(),
    request: job.kickoffUrl,
    requiresAccessToken: settings.requiresAccessToken,
    ...(job.request.organizedByPatient ? { outputOrganizedBy: 'Patient' } : {}),
    output: entries('output', listed),
    deleted: entries('deleted', listed),
    [settings.outcomesIn]: entries(
      'error',
      files.map((_, index) => index + 1),
    ),
    ...(page < lastAvailable ? { link: [{ relation: 'next', url: nextUrl }] } : {}),
  };
  const without = [
    ...settings.manifestWithout,
    ...(fault && 'manifestWithout' in fault ? fault.manifestWithout : []),
  ];
  return Object.fromEntries(Object.entries(manifest).filter(([name]) => !without.includes(name)));
}
