import { renderNotice } from './noticeMail.ts';

/** What is mailed when a run stopped for want of room: it has no report yet. */
export interface DiskFullMail {
  readonly jobName: string;
  /** undefined: it stopped before it had begun. */
  readonly runId: string | undefined;
  /** What could not be written, and what to free where; no PHI. */
  readonly message: string;
  readonly hint: string;
}

/** Subject, text and HTML. Pure. */
export function renderDiskFull({ jobName, runId, message, hint }: DiskFullMail): {
  readonly subject: string;
  readonly text: string;
  readonly html: string;
} {
  return renderNotice(`STOPPED ${jobName}: the disk is full${runId === undefined ? '' : ` [${runId}]`}`, [
    `The run of ${jobName} stopped, since there is no space left on the disk.`,
    `${message}.`,
    hint,
    'What it had pulled is kept, and nothing was published; the current export is the one before.',
  ]);
}
