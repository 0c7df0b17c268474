import path from 'node:path';
import { isoInstant } from '../system/clock.ts';

/** Where a job's runs lie in the export folder. */
export interface JobFolders {
  /** exports/<job> */
  readonly job: string;
  /** Unpublished runs, on the same file system so that publishing is one rename. */
  readonly staging: string;
  /** Runs on their way out: renamed first, so that no reader sees half of one. */
  readonly trash: string;
  readonly currentFile: string;
  readonly currentLink: string;
}

export function jobFolders(exportFolder: string, jobName: string): JobFolders {
  const job = path.join(exportFolder, jobName);
  return {
    job,
    staging: path.join(job, '.staging'),
    trash: path.join(job, '.trash'),
    currentFile: path.join(job, 'current.json'),
    currentLink: path.join(job, 'current'),
  };
}

/** Contents of documents by their sha256, in a run's folder. */
export const ATTACHMENTS = 'attachments';
/** Where they arrive; never published. */
export const ATTACHMENTS_ARRIVING = '.attachments';
/** Which resource each of them is of. */
export const ATTACHMENT_INDEX = 'attachments.ndjson';

/** The hash in the name of an attachment's file (`attachments/<sha256>`); undefined for any other file of a run. */
export function hashInName(url: string): string | undefined {
  return /^attachments\/([0-9a-f]{64})$/.exec(url)?.[1];
}

export const RUN_ID = /^\d{8}T\d{6}Z-[0-9a-f]{4}$/;

/** `20261122T020000Z`: an instant in file names, and `${Timestamp}` of the pattern. */
export function partTimestamp(ms: number): string {
  return isoInstant(ms).replace(/[-:]|\.\d{3}/g, '');
}

/** `20261122T020000Z-3f2a`: the UTC start and four hex digits. */
export function makeRunId(startMs: number, randomHex: string): string {
  return `${partTimestamp(startMs)}-${randomHex}`;
}

/** The UTC start in a run's id, in ms. */
export function startOfRunId(runId: string): number {
  const [, year, month, day, hour, minute, second] =
    /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z/.exec(runId) ?? [];
  return Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
}

/**
 * A part's file name by `[file_patterns] resource_data_file`: the first part as the pattern says, further ones
 * with `.002` and so on before the extension.
 */
export function partName(pattern: string, timestamp: string, resourceType: string, part: number): string {
  const name = pattern.replaceAll('${ResourceType}', resourceType).replaceAll('${Timestamp}', timestamp);
  if (part === 1) return name;
  const extension = path.extname(name);
  const stem = name.slice(0, name.length - extension.length);
  return `${stem}.${String(part).padStart(3, '0')}${extension}`;
}
