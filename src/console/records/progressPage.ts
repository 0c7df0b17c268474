import { byteSize, countOf } from '../../report/format.ts';
import { htmlAnswer, type Answer, type Ask } from '../exchange.ts';
import { html } from '../html.ts';
import { page } from '../page.ts';
import type { Building } from './indexes.ts';
import type { Source } from './sources.ts';
import { sourceTrail } from './trail.ts';

/** While a table is indexed: how far it is. The page asks for itself again until it is the one that was wanted. */
export function progressAnswer(
  ask: Ask,
  source: Source,
  what: string,
  { doneBytes, totalBytes, waiting }: Building,
): Answer {
  const percent = totalBytes === 0 ? 0 : Math.floor((100 * doneBytes) / totalBytes);
  const before = waiting > 0 ? ` ${countOf(waiting, 'table')} before it.` : '';
  const main = html`<div class="sheet">
    <p class="lead" id="progress-text">
      ${what} is being indexed: ${percent} % of ${byteSize(totalBytes)}.${before}
    </p>
    <progress aria-labelledby="progress-text" max="100" value="${percent}">${percent} %</progress>
    <p class="muted">
      This is done once, and kept as long as the files are there. The page shows itself when it is done.
    </p>
    <p><a href="${ask.url.pathname}${ask.url.search}">Look again now</a></p>
  </div>`;
  const answer = htmlAnswer(page(ask, { title: what, place: 'data', trail: sourceTrail(source), main }));
  // A header and no <meta>: a page that is done needs no other markup, and no script has to run.
  return { ...answer, headers: { refresh: '1' } };
}
