import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildExportFiles, type ExportFile } from './exportFiles.ts';
import type { KickoffRequest } from './kickoffRequest.ts';
import type { BulkSettings } from './options.ts';
import type { SelectionContext } from './selection.ts';

/** An export from its kick-off to its deletion. Times in ms since 1970, by the server's clock. */
export interface ExportJob {
  readonly exportId: string;
  readonly clientId: string;
  readonly request: KickoffRequest;
  /** As asked, for the manifest's `request`. */
  readonly kickoffUrl: string;
  readonly startedAtMs: number;
  /** `Prefer: separate-export-status` was asked for and granted. */
  readonly separateStatus: boolean;
  /** Ends when the files are there. */
  readonly built: Promise<void>;
  files: readonly ExportFile[] | undefined;
  /** The Epic code it failed with, for good. */
  failedWith: string | undefined;
  cancelled: boolean;
  /** Status requests answered 202 so far. */
  polls: number;
  /** When each page of the manifest was last asked for. */
  readonly lastPolledMs: Map<number, number>;
  /** When each set of file URLs was given out. */
  readonly issuedAtMs: Map<string, number>;
}

export interface ExportStart {
  readonly clientId: string;
  readonly request: KickoffRequest;
  readonly kickoffUrl: string;
  readonly separateStatus: boolean;
  readonly selection: SelectionContext;
}

/** The exports that the server knows. */
export interface Exports {
  /** Seconds until this client may ask for this group again, and why not now; undefined: it may. */
  refusal(
    clientId: string,
    groupId: string | undefined,
  ): { readonly why: 'too-recent' | 'too-many'; readonly seconds: number } | undefined;
  start(start: ExportStart): Promise<ExportJob>;
  /** Undefined when unknown, deleted, or past its life. */
  find(exportId: string): ExportJob | undefined;
  /** By the script alone: polls and seconds are over. */
  isDue(job: ExportJob): boolean;
  /** How much of an export is done, below 1 until it is due. */
  progress(job: ExportJob): number;
  /** Until when its files are there. */
  expiresAtMs(job: ExportJob): number;
  /** Forgets it and its files; before completion it does not count for the group's limit. */
  cancel(job: ExportJob): Promise<void>;
  /** Ends what is under way and removes all files. */
  close(): Promise<void>;
}

export function exportStore(settings: BulkSettings, now: () => number): Exports {
  const jobs = new Map<string, ExportJob>();
  const groupRequests = new Map<string, number>();
  let folder: Promise<string> | undefined;
  const rootFolder = () => (folder ??= mkdtemp(join(tmpdir(), 'fhir-rounds-sandbox-')));
  const groupKey = (clientId: string, groupId: string) => JSON.stringify([clientId, groupId]);
  const elapsed = (job: ExportJob) => (now() - job.startedAtMs) / 1000;

  const store: Exports = {
    refusal(clientId, groupId) {
      const asked = groupId === undefined ? undefined : groupRequests.get(groupKey(clientId, groupId));
      const wait = asked === undefined ? 0 : settings.groupWaitSeconds - (now() - asked) / 1000;
      if (wait > 0) return { why: 'too-recent', seconds: Math.ceil(wait) };
      const running = [...jobs.values()].filter(
        (job) => job.clientId === clientId && job.failedWith === undefined && !store.isDue(job),
      );
      return running.length >= settings.maxRunning ? { why: 'too-many', seconds: 1 } : undefined;
    },
    async start({ clientId, request, kickoffUrl, separateStatus, selection }) {
      const exportId = randomBytes(16).toString('hex').toUpperCase();
      const startedAtMs = now();
      // At once, before any waiting: two kick-offs at one time are two.
      if (request.groupId !== undefined) groupRequests.set(groupKey(clientId, request.groupId), startedAtMs);
      const build = async (job: ExportJob) => {
        try {
          const own = join(await rootFolder(), exportId);
          await mkdir(own);
          const limit = settings.resourcesPerFile;
          job.files = await buildExportFiles(own, limit, selection, request, () => job.cancelled);
        } catch {
          job.failedWith = '40000';
        }
      };
      let begin = () => {};
      const begun = new Promise<void>((resolve) => (begin = resolve));
      const job: ExportJob = {
        exportId,
        clientId,
        request,
        kickoffUrl,
        startedAtMs,
        separateStatus,
        built: begun.then(() => build(job)),
        files: undefined,
        failedWith: undefined,
        cancelled: false,
        polls: 0,
        lastPolledMs: new Map(),
        issuedAtMs: new Map(),
      };
      jobs.set(exportId, job);
      begin();
      return job;
    },
    find(exportId) {
      const job = jobs.get(exportId);
      return job && now() < store.expiresAtMs(job) ? job : undefined;
    },
    isDue: (job) => job.polls >= settings.polls && elapsed(job) >= settings.seconds,
    progress(job) {
      const byPolls = job.polls / (settings.polls + 1);
      const bySeconds = settings.seconds > 0 ? elapsed(job) / settings.seconds : 1;
      return store.isDue(job) ? 1 : Math.min(settings.polls > 0 ? byPolls : 1, bySeconds, 0.99);
    },
    expiresAtMs: (job) => job.startedAtMs + (settings.seconds + settings.fileLifeSeconds) * 1000,
    async cancel(job) {
      const { groupId } = job.request;
      if (groupId !== undefined && !store.isDue(job)) groupRequests.delete(groupKey(job.clientId, groupId));
      jobs.delete(job.exportId);
      job.cancelled = true;
      await job.built;
      await rm(join(await rootFolder(), job.exportId), { recursive: true, force: true });
    },
    async close() {
      for (const job of jobs.values()) job.cancelled = true;
      await Promise.all([...jobs.values()].map((job) => job.built));
      jobs.clear();
      if (folder) await rm(await folder, { recursive: true, force: true });
    },
  };
  return store;
}
