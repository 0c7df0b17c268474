import { byteSize, count, countOf, instant } from '../../report/format.ts';
import type { RunRow } from '../../run/ledgerRows.ts';
import { htmlAnswer, type Answer, type Ask } from '../exchange.ts';
import { html, localHref, type Html } from '../html.ts';
import { csrfField, page } from '../page.ts';
import type { Site } from '../site.ts';
import type { Source } from './sources.ts';
import { listUploads, MAX_UPLOAD_BYTES, type Upload } from './uploads.ts';

/** Which data there is to look at: published runs, and files that were uploaded. */

/** Older ones are found on the page of runs. */
const RUNS_SHOWN = 50;

export async function dataAnswer(ask: Ask, site: Site): Promise<Answer> {
  const runs = await site.read((ledger) =>
    (ledger?.runs({ limit: 10 * RUNS_SHOWN }) ?? [])
      .filter(({ folder }) => folder !== undefined)
      .slice(0, RUNS_SHOWN),
  );
  const main = html`<section class="sheet" aria-labelledby="published">
      <h2 id="published">Published runs</h2>
      ${runs.length === 0 ? html`<p>No run has published anything yet.</p>` : runTable(site, runs)}
    </section>
    <section class="sheet" aria-labelledby="uploads">
      <h2 id="uploads">Uploaded files</h2>
      ${uploadTable(ask, site, await listUploads(site))} ${uploadForm(ask)}
    </section>`;
  return htmlAnswer(page(ask, { title: 'Data', place: 'data', main }));
}

function timezone(site: Site): string {
  return site.config().jobs[0]!.settings.schedule.timezone;
}

function runTable(site: Site, runs: readonly RunRow[]): Html {
  return html`<div class="scroll" role="region" aria-label="Table of runs" tabindex="0">
    <table>
      <thead>
        <tr>
          <th scope="col">Run</th>
          <th scope="col">Job</th>
          <th scope="col">Begun</th>
          <th scope="col">Status</th>
          <th scope="col" class="number">Resources</th>
        </tr>
      </thead>
      <tbody>
        ${runs.map(
          ({ runId, jobName, startedAtMs, status, summary }) =>
            html`<tr>
              <th scope="row"><a href="${localHref(['data', runId])}">${runId}</a></th>
              <td>${jobName}</td>
              <td>${instant(startedAtMs, timezone(site))}</td>
              <td><span class="badge ${status === 'complete' ? 'ok' : 'warn'}">${status}</span></td>
              <td class="number">${summary && count(summary.records)}</td>
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}

function uploadTable(ask: Ask, site: Site, uploads: readonly Upload[]): Html | undefined {
  if (uploads.length === 0) return undefined;
  return html`<div class="scroll" role="region" aria-label="Table of uploads" tabindex="0">
    <table>
      <thead>
        <tr>
          <th scope="col">File</th>
          <th scope="col">Uploaded</th>
          <th scope="col" class="number">Resources</th>
          <th scope="col" class="number">Size</th>
          <th scope="col"><span class="muted">Delete</span></th>
        </tr>
      </thead>
      <tbody>
        ${uploads.map(
          ({ uploadId, label, atMs, types, bytes }) =>
            html`<tr>
              <th scope="row">
                <a href="${localHref(['data', uploadId])}"><bdi>${label}</bdi></a>
              </th>
              <td>${instant(atMs, timezone(site))}</td>
              <td class="number">${count(Object.values(types).reduce((sum, n) => sum + n, 0))}</td>
              <td class="number">${byteSize(bytes)}</td>
              <td>
                <form
                  method="post"
                  action="${localHref(['uploads', uploadId, 'delete'])}"
                  data-confirm="Delete this upload?"
                >
                  ${csrfField(ask)}<button class="danger" aria-label="Delete ${label}">Delete</button>
                </form>
              </td>
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}

/** The file is the body of the request, and its name stands in the address: a script sends it. */
function uploadForm(ask: Ask): Html {
  return html`<form class="upload" data-upload="/uploads">
    ${csrfField(ask)}
    <p class="row">
      <label for="upload-file">NDJSON file</label>
      <input id="upload-file" name="file" type="file" required accept=".ndjson,.jsonl,.json" />
      <button class="main">Upload</button>
    </p>
    <p role="status" data-upload-status></p>
    <p class="muted small">
      One FHIR resource on each line, ${byteSize(MAX_UPLOAD_BYTES)} at most. It stays on this machine until it
      is deleted here.
    </p>
  </form>`;
}

/** A source: its files, by resource type. */
export function sourceAnswer(ask: Ask, source: Source, upload: Upload | undefined): Answer {
  const tables = [...source.tables.values()];
  const main = html`${upload && upload.badLines > 0 && badLines(upload)}
    <section class="sheet" aria-labelledby="types">
      <h2 id="types">Resource types</h2>
      ${
        tables.length === 0
          ? html`<p>There are no resources in it.</p>`
          : html`<div class="scroll" role="region" aria-label="Table of types" tabindex="0">
              <table>
                <thead>
                  <tr>
                    <th scope="col">Type</th>
                    <th scope="col" class="number">Resources</th>
                    <th scope="col">Files</th>
                    <th scope="col" class="number">Size</th>
                  </tr>
                </thead>
                <tbody>
                  ${tables.map(({ resourceType, count: resources, files, isMixed }) => {
                    const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
                    return html`<tr>
                      <th scope="row">
                        <a href="${localHref(['data', source.sourceId, resourceType])}">${resourceType}</a>
                      </th>
                      <td class="number">${count(resources)}</td>
                      <td>
                        ${files.length > 3 ? countOf(files.length, 'file') : files.map(({ name }) => name).join(', ')}
                      </td>
                      <td class="number">
                        ${isMixed ? html`<span class="muted">shared</span>` : byteSize(bytes)}
                      </td>
                    </tr>`;
                  })}
                </tbody>
              </table>
            </div>`
      }
    </section>`;
  return htmlAnswer(page(ask, { title: source.label, place: 'data', trail: [['Data', '/data']], main }));
}

function badLines({ badLines: lines, bad }: Upload): Html {
  return html`<div class="note warn">
    <p>${countOf(lines, 'line')} of the file ${lines === 1 ? 'is' : 'are'} no FHIR resource, and left out:</p>
    <ul>
      ${bad.map(({ line, why }) => html`<li>line ${count(line)} ${why}</li>`)}
    </ul>
    ${lines > bad.length && html`<p>... and ${count(lines - bad.length)} more.</p>`}
  </div>`;
}
