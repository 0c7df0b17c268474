import { createHash } from 'node:crypto';
import type { Config, JobConfig } from '../config/schema.ts';
import type { RoundsError } from '../errors.ts';
import { renderNotice } from '../report/noticeMail.ts';
import type { Ledger } from '../run/ledger.ts';

/**
 * What the daemon tells a person of, once: in the log it stands each time, in `status` until it is over. Each returns
 * whether it is news, and so whether a mail waits in the outbox.
 */

/** An edit of the INI (its content's hash) that cannot be used. */
export function noticeBadConfig(
  ledger: Ledger,
  { jobs, file }: Config,
  about: string,
  { message, hint }: RoundsError,
  atMs: number,
): boolean {
  const mailFrom = jobs.find(({ settings }) => settings.email !== undefined)?.jobName;
  return ledger.tell(
    {
      kind: 'config-invalid',
      jobName: undefined,
      about,
      text: `The INI was changed and cannot be used; the daemon goes on with the one before. ${firstLine(message)}`,
      atMs,
    },
    mailFrom,
    renderNotice('CONFIGURATION not taken: the daemon goes on with the one before', [
      `${file} was changed to one that cannot be used:`,
      message,
      hint,
      'The daemon goes on with the last good one, and looks again at each change. This is told once.',
    ]),
  );
}

/** A run that could not begin. */
export function noticeRefused(
  ledger: Ledger,
  job: JobConfig,
  code: string,
  what: string,
  atMs: number,
): boolean {
  const { jobName, settings } = job;
  return ledger.tell(
    {
      kind: 'refused',
      jobName,
      about: createHash('sha256').update(`${code} ${what}`).digest('hex'),
      text: `The daemon could not begin a run: ${code}: ${firstLine(what)}`,
      atMs,
    },
    mailerOf(job),
    renderNotice(`REFUSED ${jobName}: ${code}`, [
      `The run of ${jobName} could not begin, and nothing was requested.`,
      `${code}: ${what}`,
      settings.schedule.retry_failed_after_minutes > 0
        ? 'The daemon tries again by itself, and at the next appointed time. This is told once.'
        : 'The daemon tries again at the next appointed time. This is told once.',
    ]),
  );
}

/** A slot that no run has served for longer than `overdue_after_hours`. */
export function noticeOverdue(ledger: Ledger, job: JobConfig, slotMs: number, atMs: number): boolean {
  const { jobName, settings } = job;
  const { timezone } = settings.schedule;
  const when = new Intl.DateTimeFormat('sv-SE', {
    timeZone: timezone,
    dateStyle: 'short',
    timeStyle: 'short',
  }).format(slotMs);
  const open = ledger.openRunOf(jobName);
  const now = open === undefined ? 'no run was begun' : `run ${open.runId} is not at its end`;
  const text = `No run has ended since the appointed time of ${when} (${timezone}); ${now}.`;
  return ledger.tell(
    { kind: 'overdue', jobName, about: String(slotMs), text, atMs },
    mailerOf(job),
    renderNotice(`OVERDUE ${jobName}: nothing since ${when}`, [
      text,
      '`fhir-rounds status` says what is under way and who holds the lock. This is told once.',
    ]),
  );
}

function mailerOf({ jobName, settings }: JobConfig): string | undefined {
  return settings.email === undefined ? undefined : jobName;
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0]!;
}
