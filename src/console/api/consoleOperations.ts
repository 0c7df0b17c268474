import { redactedSettings } from '../../config/view.ts';
import { siteStatus } from '../../views/siteStatus.ts';
import { jsonAnswer } from '../exchange.ts';
import { environmentOf, gatewayMode } from '../gateway/environment.ts';
import type { Site } from '../site.ts';
import { operationsIn, type Operation } from './operation.ts';
import { runOperations } from './runOperations.ts';

/** The console's own facts, under `/api/v1`: session, health, configuration, jobs and runs. */
export function consoleOperations(site: Site): readonly Operation[] {
  const operation = operationsIn('Console');
  return [
    operation(
      'getSession',
      '/api/v1/session',
      'Session',
      'The session, and the CSRF token that requests other than GET carry',
      {
        quiet: true,
        answer: (_input, { session }) =>
          jsonAnswer({ session: session?.name ?? '', csrfToken: session?.csrfToken ?? '' }),
      },
    ),
    operation(
      'getHealth',
      '/api/v1/health',
      'Health',
      'One verdict for all jobs and one for each, with why and what to do',
      {
        quiet: true,
        answer: async () => jsonAnswer(await healthOf(site)),
      },
    ),
    operation(
      'getConfig',
      '/api/v1/config',
      'Config',
      'Every setting with where it comes from; secrets show as (set)',
      {
        answer: () => {
          const config = site.config();
          const { file, warnings } = config;
          return jsonAnswer({ file, warnings, settings: redactedSettings(config) });
        },
      },
    ),
    operation(
      'listJobs',
      '/api/v1/jobs',
      'Jobs',
      'The jobs, their servers, and what the gateway lets through',
      {
        answer: () =>
          jsonAnswer({
            items: site.config().jobs.map((job) => ({
              job: job.jobName,
              method: job.method,
              server: new URL(job.settings.epic_settings.epic_endpoint).host,
              environment: environmentOf(job),
              gateway: gatewayMode(job),
              cron: job.settings.schedule.cron ?? null,
            })),
          }),
      },
    ),
    ...runOperations(site),
  ];
}

/** `siteStatus` as the API gives it: without the process that holds a lock, and with null for what is not known. */
async function healthOf(site: Site): Promise<object> {
  const status = await site.read((ledger) => siteStatus(site.config(), ledger, site.clock));
  const { verdict, why, next, jobs, outbox, disk } = status;
  return {
    verdict,
    why,
    next: next ?? null,
    jobs: jobs.map((job) => ({
      job: job.job,
      verdict: job.verdict,
      why: job.why,
      next: job.next ?? null,
      lastRun: job.lastRun ?? null,
      nextRun: job.nextRun ?? null,
      progress: job.progress ?? null,
      warnings: job.warnings,
    })),
    outbox: { ...outbox, lastCode: outbox.lastCode ?? null },
    disk: { ...disk, runsLeft: disk.runsLeft ?? null },
  };
}
