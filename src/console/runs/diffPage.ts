import { readManifest } from '../../publish/verify.ts';
import { count } from '../../report/format.ts';
import type { Ledger } from '../../run/ledger.ts';
import type { RunRow } from '../../run/ledgerRows.ts';
import { chooseRun, folderOf } from '../../views/chooseRun.ts';
import {
  compareFolders,
  countsOf,
  type PublishedFolder,
  type TypeComparison,
} from '../../views/compareFolders.ts';
import { htmlAnswer, type Answer, type Ask } from '../exchange.ts';
import { html, localHref, type Html } from '../html.ts';
import { page } from '../page.ts';
import { runLink } from './statusWords.ts';

/** What changed from another run to this one: records by type, and with `content=1` record by record. */
export async function diffPage(ask: Ask, run: RunRow, ledger: Ledger): Promise<Answer> {
  const { searchParams } = ask.url;
  const before = await published(chooseRun(ledger, searchParams.get('with') ?? ''));
  const after = await published(run);
  const table =
    searchParams.get('content') === '1'
      ? contentTable(await compareFolders(before, after, { signal: ask.signal }))
      : countTable(countsOf(before.manifest, after.manifest));
  const beforeId = before.manifest.extension.runId;
  return htmlAnswer(
    page(ask, {
      title: 'Difference of two runs',
      place: 'runs',
      trail: [
        ['Runs', '/runs'],
        [run.runId, localHref(['runs', run.runId])],
      ],
      main: html`<div class="sheet">
        <p class="lead">From ${runLink(beforeId)} to ${runLink(run.runId)}.</p>
        <p class="small">
          A record is its type and id; it is the same where its bytes are. One that is absent is not deleted:
          a search may have failed.
        </p>
        <div class="scroll" tabindex="0" role="region" aria-label="Difference">${table}</div>
      </div>`,
    }),
  );
}

async function published(run: RunRow): Promise<PublishedFolder> {
  const folder = folderOf(run);
  return { folder, manifest: await readManifest(folder) };
}

function countTable(rows: ReturnType<typeof countsOf>): Html {
  return html`<table>
    <thead>
      <tr>
        <th scope="col">Type</th>
        <th scope="col" class="number">Before</th>
        <th scope="col" class="number">After</th>
        <th scope="col" class="number">Change</th>
      </tr>
    </thead>
    <tbody>
      ${rows.map(
        ({ resourceType, before, after }) =>
          html`<tr>
            <th scope="row">${resourceType}</th>
            ${numbers([before, after])}
            <td class="number">${signed(after - before)}</td>
          </tr>`,
      )}
    </tbody>
  </table>`;
}

function contentTable(rows: readonly TypeComparison[]): Html {
  return html`<table>
    <thead>
      <tr>
        <th scope="col">Type</th>
        ${['Before', 'After', 'Added', 'Changed', 'Absent', 'Same'].map((name) => html`<th scope="col" class="number">${name}</th>`)}
      </tr>
    </thead>
    <tbody>
      ${rows.map(
        (row) =>
          html`<tr>
            <th scope="row">${row.resourceType}</th>
            ${numbers([row.before, row.after, row.added, row.changed, row.absent, row.same])}
          </tr>`,
      )}
    </tbody>
  </table>`;
}

function numbers(values: readonly number[]): Html {
  return html`${values.map((value) => html`<td class="number">${count(value)}</td>`)}`;
}

function signed(difference: number): string {
  return difference > 0 ? `+${count(difference)}` : count(difference);
}
