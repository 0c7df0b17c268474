import { countOf } from '../../report/format.ts';
import { html, type Html } from '../html.ts';
import { isList, NumberText, type Exact, type ExactObject } from './exactJson.ts';

/** Where a Reference's text leads; undefined: nowhere within the source. */
export type FollowReference = (reference: string) => string | undefined;

/** A document's content is none that is read in a tree. */
const STRING_CHARS = 1_000;
/** More would keep a browser busy; the exact text has them all. */
const MOST_NODES = 4_000;
/** What is deeper begins closed. */
const OPEN_DEPTH = 4;

/** A resource's members, nested as they are. Narrative is text like any other. */
export function treeOf(resource: ExactObject, follow: FollowReference): Html {
  const left = { nodes: MOST_NODES };
  const tree = members(resource, follow, left, 0);
  return html`${tree}${left.nodes <= 0 && html`<p class="note">There is more: see the exact text.</p>`}`;
}

interface Left {
  nodes: number;
}

function members(object: ExactObject, follow: FollowReference, left: Left, depth: number): Html {
  return html`<ul class="tree">
    ${Object.entries(object).map(([name, value]) => node(name, value ?? null, follow, left, depth))}
  </ul>`;
}

function node(
  name: string,
  value: Exact,
  follow: FollowReference,
  left: Left,
  depth: number,
): Html | undefined {
  if (left.nodes-- <= 0) return undefined;
  const label = html`<code><bdi>${name}</bdi></code>`;
  if (typeof value !== 'object' || value === null || value instanceof NumberText) {
    return html`<li>${label} ${scalar(name, value, follow)}</li>`;
  }
  const size = isList(value) ? countOf(value.length, 'item') : countOf(Object.keys(value).length, 'member');
  const inside = isList(value)
    ? html`<ul class="tree">
        ${value.map((item, index) => node(String(index), item, follow, left, depth + 1))}
      </ul>`
    : members(value, follow, left, depth + 1);
  return html`<li>
    <details ${depth < OPEN_DEPTH && html`open`}>
      <summary>${label} <span class="muted small">${size}</span></summary>
      ${inside}
    </details>
  </li>`;
}

function scalar(name: string, value: string | boolean | null | NumberText, follow: FollowReference): Html {
  if (typeof value !== 'string') {
    return html`<span class="mono">${value instanceof NumberText ? value.text : String(value)}</span>`;
  }
  const more = value.length - STRING_CHARS;
  const text = html`<bdi>${more > 0 ? value.slice(0, STRING_CHARS) : value}</bdi>`;
  const href = name === 'reference' ? follow(value) : undefined;
  if (href !== undefined) return html`<a href="${href}">${text}</a>`;
  return html`${text}${more > 0 && html` <span class="muted small">… ${countOf(more, 'more character')}</span>`}`;
}
