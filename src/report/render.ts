import { asciiLine } from './format.ts';
import { renderHtml } from './renderHtml.ts';
import { renderText } from './renderText.ts';
import { buildReportView, NO_LIMITS, type ReportLimits, type ReportOptions } from './reportView.ts';
import type { RunSummary } from './summary.ts';

export interface RenderedReport {
  /** One line of ASCII: verdict, job, counts and run id. */
  readonly subject: string;
  readonly text: string;
  readonly html: string;
}

export interface RenderOptions extends ReportOptions {
  /** Everything, for report.html and report.txt in the folder; without it long lists are cut, visibly. */
  readonly full?: boolean;
}

/** A mail's HTML is smaller than this; Gmail shows only the start of a mail beyond 102 kB, others of less. */
const MAIL_HTML_BYTES = 30_000;

/** What a mail lists, from the most to the least: the first that fits is taken. */
const MAIL_LIMITS: readonly ReportLimits[] = [
  { marks: 12, types: 60, causes: 24, notes: 12 },
  { marks: 12, types: 40, causes: 16, notes: 8 },
  { marks: 8, types: 30, causes: 8, notes: 4 },
  { marks: 5, types: 10, causes: 3, notes: 2 },
];

/**
 * A run's report as subject, plain text and HTML. Pure; holds no PHI, since RunSummary has none.
 *
 * The subject holds the run id: Proton Bridge accepts, and drops, a mail whose subject, addresses and body
 * repeat within 30 minutes (seen in its source, H).
 */
export function renderReport(summary: RunSummary, options: RenderOptions): RenderedReport {
  if (options.full === true) return renderWithin(summary, options, NO_LIMITS);
  const [first, ...smaller] = MAIL_LIMITS;
  let report = renderWithin(summary, options, first!);
  for (const limits of smaller) {
    if (Buffer.byteLength(report.html) < MAIL_HTML_BYTES) break;
    report = renderWithin(summary, options, limits);
  }
  return report;
}

function renderWithin(summary: RunSummary, options: ReportOptions, limits: ReportLimits): RenderedReport {
  const view = buildReportView(summary, options, limits);
  // A run that published nothing has no report.html; the ledger still holds all of it.
  const whole =
    summary.folder === undefined ? `fhir-rounds show ${summary.runId}` : 'report.html in the folder';
  return {
    subject: asciiLine(view.subject),
    text: renderText(view, whole),
    html: renderHtml(view, whole),
  };
}
