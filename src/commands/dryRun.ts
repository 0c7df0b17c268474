import { checkAccess, checkInputs } from '../run/preflight.ts';
import { chooseJob, EXIT, loadCommandConfig, type CommandContext } from './context.ts';

/**
 * `run --dry-run [JOB]`: what a run would ask for; no request is made and nothing is written. In a file of its own: it
 * loads nothing of what pulls and reports. Returns the exit code.
 */
export async function dryRunCommand(jobName: string | undefined, context: CommandContext): Promise<number> {
  const job = chooseJob(await loadCommandConfig(context), jobName);
  await checkAccess(job, context.signal, 'look');
  const { listed, roster } = await checkInputs(job, context.signal);
  const result = {
    job: job.jobName,
    server: job.settings.epic_settings.epic_endpoint,
    exportFolder: job.settings.paths.epic_data_export_folder,
    method: job.method,
    ...(roster === undefined
      ? {}
      : { patients: roster.patients, byMrn: roster.mrns, skippedRows: roster.skipped }),
    types: listed.map(({ resourceType, queries }) => ({ resourceType, queries })),
  };
  const who =
    roster === undefined
      ? 'all patients that the server exports'
      : `${roster.patients} patients (${roster.mrns} by MRN)`;
  if (context.json) context.print(JSON.stringify(result));
  else {
    context.print(
      [
        `job ${result.job}: ${who} x ${listed.length} resource types${job.method === 'bulk' ? ', by bulk export' : ''}`,
        `from ${result.server}`,
        `into ${result.exportFolder}`,
        ...result.types.map(({ resourceType, queries }) =>
          `  ${resourceType} ${queries.filter(Boolean).join(' | ')}`.trimEnd(),
        ),
        'Which of these the server offers, and how, shows when it is asked; nothing was requested.',
      ].join('\n'),
    );
  }
  return EXIT.complete;
}
