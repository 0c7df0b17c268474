import { asciiLine } from './format.ts';

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
  const lines = [
    `The run of ${jobName} stopped, since there is no space left on the disk.`,
    `${message}.`,
    hint,
    'What it had pulled is kept, and nothing was published; the current export is the one before.',
  ];
  return {
    subject: asciiLine(`STOPPED ${jobName}: the disk is full${runId === undefined ? '' : ` [${runId}]`}`),
    text: `${lines.join('\n\n')}\n`,
    html: `<!doctype html><html lang="en"><body>${lines.map((line) => `<p>${escape(line)}</p>`).join('')}</body></html>\n`,
  };
}

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

function escape(text: string): string {
  return text.replace(/[&<>"]/g, (char) => ENTITIES[char]!);
}
