import { html, localHref, type Html } from '../html.ts';
import type { RunRow } from '../../run/ledgerRows.ts';
import type { JobVerdict } from '../../views/jobHealth.ts';

export type Tone = 'ok' | 'warn' | 'bad' | 'plain';

const TONES: Readonly<Record<JobVerdict | 'complete' | 'abandoned' | 'open', Tone>> = {
  healthy: 'ok',
  complete: 'ok',
  running: 'plain',
  open: 'plain',
  interrupted: 'warn',
  late: 'warn',
  'never run': 'warn',
  partial: 'warn',
  abandoned: 'warn',
  failed: 'bad',
};

/** A verdict or status as a word in its tone. */
export function badge(word: keyof typeof TONES): Html {
  return html`<span class="badge ${TONES[word]}">${word}</span>`;
}

export function runLink(runId: string): Html {
  return html`<a href="${localHref(['runs', runId])}">${runId}</a>`;
}

export function statusOf({ status }: Pick<RunRow, 'status'>): keyof typeof TONES {
  return status ?? 'open';
}
