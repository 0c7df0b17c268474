import { existsSync } from 'node:fs';
import path from 'node:path';
import type { RunRow } from '../../run/ledgerRows.ts';
import { RUN_LOG, snapshotFolder } from '../../run/snapshot.ts';
import type { Site } from '../site.ts';

/** Of a job that is not in the INI any more, UTC. */
export function timezoneOf(site: Site, jobName: string): string {
  return site.config().jobs.find((job) => job.jobName === jobName)?.settings.schedule.timezone ?? 'UTC';
}

/** Where the run's log lies: in its folder once that is published, before that in its state. */
export function logFileOf(site: Site, { runId, folder, jobName }: RunRow): string | undefined {
  const job = site.config().jobs.find((one) => one.jobName === jobName) ?? site.config().jobs[0]!;
  const folders = [folder, snapshotFolder(job.settings.paths.state_folder, runId)];
  return folders
    .flatMap((one) => (one === undefined ? [] : [path.join(one, RUN_LOG)]))
    .find((file) => existsSync(file));
}
