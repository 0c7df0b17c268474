import type { Ask } from '../exchange.ts';
import { html, localHref, type Html } from '../html.ts';
import { csrfField } from '../page.ts';
import { withCode } from '../withCode.ts';
import type { Operation, Parameter } from './operation.ts';

/** What a person wrote, by the parameter's name. */
export type Filled = ReadonlyMap<string, string>;

/** The field for further search parameters, where an operation takes them. */
export const OTHERS_FIELD = 'others';

/** All operations, by group, the chosen one marked. */
export function listOf(operations: readonly Operation[], chosen: Operation): Html {
  const groups = [...new Set(operations.map(({ group }) => group))];
  return html`<nav class="api-list sheet" aria-label="Operations">
    <label class="api-filter" hidden
      >Find an operation <input type="search" data-filter="api-operations"
    /></label>
    <div id="api-operations">
      ${groups.map(
        (group) =>
          html`<h2>${group}</h2>
            <ul>
              ${operations
                .filter((one) => one.group === group)
                .map(
                  (one) =>
                    html`<li>
                      <a
                        href="${localHref(['api'], { op: one.key })}"
                        ${one === chosen && html` aria-current="true"`}
                        ><code>${methodMark(one)}${one.path}</code> <span>${one.summary}</span></a
                      >
                    </li>`,
                )}
            </ul>`,
      )}
    </div>
  </nav>`;
}

const methodMark = ({ method }: Operation): string => (method === 'GET' ? '' : `${method} `);

/** One operation's form. */
export function formOf(
  ask: Pick<Ask, 'session'>,
  operation: Operation,
  filled: Filled,
  jobNames: readonly string[],
): Html {
  const { key, method, path, summary, text, parameters, takesOthers } = operation;
  return html`<section class="sheet" aria-labelledby="operation">
    <h2 id="operation">${summary}</h2>
    <p><code>${method} ${path}</code></p>
    ${text !== undefined && html`<p class="muted">${withCode(text)}</p>`}
    <form class="api-form" method="post" action="/api">
      ${csrfField(ask)}<input type="hidden" name="op" value="${key}" />
      ${parameters.map((parameter) => fieldOf(parameter, filled.get(parameter.name), jobNames))}
      ${takesOthers && othersField(filled.get(OTHERS_FIELD))}
      <p><button class="main">Send</button></p>
    </form>
  </section>`;
}

function fieldOf(parameter: Parameter, value: string | undefined, jobNames: readonly string[]): Html {
  const { name, text, type, required } = parameter;
  const field = `p-${name}`;
  const shown = value ?? parameter.default ?? '';
  const values = name === 'job' && parameter.in === 'query' ? jobNames : parameter.values;
  const marks = html`id="${field}" name="${field}"
  aria-describedby="${field}-text"${required && html` required`}`;
  const entry =
    type === 'boolean'
      ? html`<input type="checkbox" value="true" ${marks} ${shown === 'true' && html` checked`} />`
      : values !== undefined
        ? html`<select ${marks}>
            ${!required && jobNames.length !== 1 && html`<option value=""></option>`}
            ${values.map((one) => html`<option ${one === shown && html` selected`}>${one}</option>`)}
          </select>`
        : html`<input
            ${marks}
            type="${type === 'integer' ? 'number' : 'text'}"
            value="${shown}"
            autocomplete="off"
            spellcheck="false"
            ${parameter.minimum !== undefined && html` min="${parameter.minimum}"`}
            ${parameter.maximum !== undefined && html` max="${parameter.maximum}"`}
            ${parameter.example !== undefined && html` placeholder="${parameter.example}"`}
          />`;
  return html`<div class="field">
    <label for="${field}">${name}${required && html` <span class="muted">(needed)</span>`}</label>
    ${entry}
    <p class="muted" id="${field}-text">${withCode(text)}</p>
  </div>`;
}

function othersField(value: string | undefined): Html {
  return html`<div class="field">
    <label for="p-others">search parameters</label>
    <input
      id="p-others"
      name="p-others"
      value="${value ?? ''}"
      aria-describedby="p-others-text"
      placeholder="patient=ID&amp;category=laboratory"
      autocomplete="off"
      spellcheck="false"
    />
    <p class="muted" id="p-others-text">As in a URL, with &amp; between.</p>
  </div>`;
}
