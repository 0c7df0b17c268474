import { REQUEST_KINDS, type RunRequest } from '../../run/ledgerRequests.ts';
import { isoInstant } from '../../system/clock.ts';
import { jsonAnswer } from '../exchange.ts';
import { askDaemon } from '../runs/jobAsks.ts';
import type { Site } from '../site.ts';
import { inPath, inQuery, operationsIn, type Operation } from './operation.ts';

const JOB = inPath('job', 'A job of the INI.', { pattern: '[a-z0-9-]{1,40}', example: 'default' });
const SHOWN = 50;

/** What the daemon is asked for, and what became of it. */
export function requestOperations(site: Site): readonly Operation[] {
  const operation = operationsIn('Console');
  const path = '/api/v1/jobs/{job}/requests';
  return [
    operation('listRequests', path, 'Requests', 'What the daemon was asked for, the newest first', {
      parameters: [JOB],
      answer: (input) =>
        site.read((ledger) =>
          jsonAnswer({ items: (ledger?.requests.recent(input.given('job'), SHOWN) ?? []).map(asRequest) }),
        ),
    }),
    operation(
      'askDaemon',
      path,
      'Request',
      'Asks the daemon to run, to plan, to retry what failed, or to cancel',
      {
        method: 'POST',
        text: 'The daemon takes it up within seconds; where none runs, it waits. The same is asked for once.',
        parameters: [JOB, inQuery('kind', 'What is wanted.', { required: true, values: REQUEST_KINDS })],
        answer: async (input, { session }) => {
          const asked = { jobName: input.given('job'), kind: input.given('kind'), askedBy: session!.name };
          return jsonAnswer(asRequest(await askDaemon(site, asked)));
        },
      },
    ),
  ];
}

function asRequest({
  requestNo,
  jobName,
  kind,
  askedAtMs,
  state,
  endedAtMs,
  runId,
  answer,
}: RunRequest): object {
  return {
    ...{ requestNo, job: jobName, kind, state, askedAt: isoInstant(askedAtMs) },
    endedAt: endedAtMs === undefined ? null : isoInstant(endedAtMs),
    ...{ runId: runId ?? null, answer: answer ?? null },
  };
}
