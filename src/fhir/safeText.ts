import { COUNTED, NAMES, PLAIN, SMALL } from './safeWords.ts';

const MAX_SHOWN = 200;
/** More of a text is not looked at: it could not be shown. */
const MAX_READ = 4_000;
const HIDDEN = '…';

/** What is quoted, in any kind of quotes; an apostrophe within a word opens none. */
const QUOTED =
  /"([^"]*)"|“([^”]*)”|«([^»]*)»|`([^`]*)`|(?<![\p{L}\p{N}])'([^']*)'(?![\p{L}\p{N}])|‘([^’]*)’(?![\p{L}\p{N}])/gu;
/** A word between what may stand around it. */
const CHUNK = /^([([]*)(.*?)([.,;:!?)\]]*)$/su;
const PUNCTUATION = /^(?:[-–—:;,.!?/&()[\]|=+]{1,3})$/u;
/** No leading zeros, which dates have. */
const SHARE = /^(0|[1-9]\d{0,4})\/([1-9]\d{0,4})$/;
/** Also as in "1,203,713"; an MRN is not written so. */
const NUMBER = /^(?:0|[1-9]\d{0,4}|[1-9]\d{0,2}(?:,\d{3}){1,3})$/;
const PERCENTAGE = /^(?:100|\d{1,2})(?:\.\d{1,2})?%$/;
/** What `3/10` is a day behind. */
const BEFORE_DATES = /^(?:on|since|until|from|before|after|by|dates?)$/i;
/** Behind such words, and behind what was hidden, a number is more likely somebody's than a count. */
const OWNERS =
  /^(?:patients?|members?|users?|clients?|records?|ids?|identifiers?|numbers?|codes?|accounts?|names?|named|encounters?|groups?|_\w+|\$\w+)$/i;

interface Token {
  readonly opening: string;
  readonly core: string;
  readonly closing: string;
}

/**
 * What of a server's free text may be shown to people and logged. Words of a fixed vocabulary (safeWords.ts) stay,
 * and numbers where they count: `50%`, `3 of 10`, `3/10`, `120 resources`, `30 seconds`. All else (names, ids, MRNs,
 * dates, URLs, what stands in quotes) becomes `…`, and so does a run of it. Only a resource type or the name of a
 * parameter may stand in quotes, alone. At most 200 characters, on one line; never throws.
 *
 * A number of six digits and more is taken for an MRN unless its thousands are separated, and any number behind a word
 * such as "patient" or "id" is not taken for a count. What is left can still be wrong in one way: a person whose name
 * is a word of the vocabulary.
 */
export function safeText(text: string): string {
  const read = text.slice(0, MAX_READ).replace(QUOTED, (_, ...parts: (string | undefined)[]) => {
    const inside = parts.slice(0, 6).find((part) => part !== undefined) ?? '';
    return NAMES.has(inside) ? inside : ` ${HIDDEN} `;
  });
  const tokens = read
    .split(/[\s\p{C}]+/u)
    .filter((chunk) => chunk !== '')
    .map(tokenOf);
  // A word that was cut in the middle may have become another one.
  if (text.length > MAX_READ) tokens.splice(-1, 1, { opening: '', core: HIDDEN, closing: '' });
  const shown: Token[] = [];
  tokens.forEach((token, at) => {
    if (isShown(tokens, at)) return void shown.push(token);
    if (shown.at(-1)?.core === HIDDEN) shown.pop();
    shown.push({ opening: '', core: HIDDEN, closing: token.closing.replace(/[)\]]/g, '') });
  });
  return shortened(shown.map(({ opening, core, closing }) => opening + core + closing));
}

function tokenOf(chunk: string): Token {
  if (PUNCTUATION.test(chunk)) return { opening: '', core: chunk, closing: '' };
  const [, opening = '', core = '', closing = ''] = CHUNK.exec(chunk) ?? [];
  return { opening: opening.slice(0, 2), core, closing: closing.slice(0, 3) };
}

function isShown(tokens: readonly Token[], at: number): boolean {
  const { core } = tokens[at]!;
  if (PUNCTUATION.test(core)) return true;
  if (/\d/.test(core)) return isCount(tokens, at);
  if (core === '%') return at > 0 && isCount(tokens, at - 1);
  // "read-only", "and/or"
  return core.split(/[-/]/).every(isWord);
}

function isWord(word: string): boolean {
  if (NAMES.has(word) || SMALL.has(word)) return true;
  // In any other mixture of cases it is rather a part of an id.
  return /^(?:[A-Z]?[a-z]+|[A-Z]+)$/.test(word) && PLAIN.has(word.toLowerCase());
}

function isCount(tokens: readonly Token[], at: number): boolean {
  const { core, closing } = tokens[at]!;
  const unit = closing === '' ? (tokens[at + 1]?.core.toLowerCase() ?? '') : '';
  if (PERCENTAGE.test(/^(?:%|percent)$/.test(unit) ? `${core}%` : core)) return true;
  const previous = tokens[at - 1];
  // "Patient: 120" belongs together, "refused, 120 files" does not.
  const before = previous !== undefined && /^:?$/.test(previous.closing) ? previous.core : undefined;
  const share = SHARE.exec(core);
  if (share) return Number(share[1]) <= Number(share[2]) && !BEFORE_DATES.test(before ?? '');
  if (!NUMBER.test(core)) return false;
  if (isPartOf(tokens, at) || isPartOf(tokens, at - 2)) return true;
  if (before !== undefined && (OWNERS.test(before) || !isWord(before))) return false;
  return COUNTED.has(unit);
}

/** Whether `3 of 10` begins here. */
function isPartOf(tokens: readonly Token[], at: number): boolean {
  const [part, of, whole] = [tokens[at], tokens[at + 1], tokens[at + 2]];
  if (part === undefined || of?.core !== 'of' || whole === undefined || part.closing + of.closing !== '')
    return false;
  return [part, whole].every(({ core }) => NUMBER.test(core)) && numberOf(part.core) <= numberOf(whole.core);
}

function numberOf(text: string): number {
  return Number(text.replaceAll(',', ''));
}

/** Whole tokens only. */
function shortened(shown: readonly string[]): string {
  const whole = shown.join(' ');
  if (whole.length <= MAX_SHOWN) return whole;
  const cut = whole.slice(0, MAX_SHOWN - 1);
  return `${cut.slice(0, Math.max(0, cut.lastIndexOf(' ') + 1))}${HIDDEN}`.replace(/…[^\s…]* …$/, HIDDEN);
}
