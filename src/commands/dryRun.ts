import type { JobConfig } from '../config/schema.ts';
import { checkAccess, checkInputs } from '../run/preflight.ts';
import { chooseJob, EXIT, loadCommandConfig, type CommandContext } from './context.ts';

/** What a run would ask for. */
export interface DryRun {
  readonly job: string;
  readonly server: string;
  readonly exportFolder: string;
  readonly method: 'crawl' | 'bulk';
  /** Of a crawl. */
  readonly patients?: number;
  readonly byMrn?: number;
  readonly skippedRows?: number;
  readonly types: readonly { readonly resourceType: string; readonly queries: readonly string[] }[];
}

/**
 * `run --dry-run [JOB]`: what a run would ask for; no request is made and nothing is written. In a file of its own: it
 * loads nothing of what pulls and reports. Returns the exit code.
 */
export async function dryRunCommand(jobName: string | undefined, context: CommandContext): Promise<number> {
  const job = chooseJob(await loadCommandConfig(context), jobName);
  const planned = await dryRun(job, context.signal);
  context.print(context.json ? JSON.stringify(planned) : dryRunText(planned));
  return EXIT.complete;
}

/** Checks key, folders and CSVs as a run does. Throws what a run would refuse to begin with. */
export async function dryRun(job: JobConfig, signal: AbortSignal): Promise<DryRun> {
  await checkAccess(job, signal, 'look');
  const { listed, roster } = await checkInputs(job, signal);
  return {
    job: job.jobName,
    server: job.settings.epic_settings.epic_endpoint,
    exportFolder: job.settings.paths.epic_data_export_folder,
    method: job.method,
    ...(roster === undefined
      ? {}
      : { patients: roster.patients, byMrn: roster.mrns, skippedRows: roster.skipped }),
    types: listed.map(({ resourceType, queries }) => ({ resourceType, queries })),
  };
}

/** The same for people. */
export function dryRunText({ job, server, exportFolder, method, patients, byMrn, types }: DryRun): string {
  const who =
    patients === undefined
      ? 'all patients that the server exports'
      : `${patients} patients (${byMrn ?? 0} by MRN)`;
  return [
    `job ${job}: ${who} x ${types.length} resource types${method === 'bulk' ? ', by bulk export' : ''}`,
    `from ${server}`,
    `into ${exportFolder}`,
    ...types.map(({ resourceType, queries }) =>
      `  ${resourceType} ${queries.filter(Boolean).join(' | ')}`.trimEnd(),
    ),
    'Which of these the server offers, and how, shows when it is asked; nothing was requested.',
  ].join('\n');
}
