import type { Problem } from '../errors.ts';

export interface DotEnv {
  readonly values: ReadonlyMap<string, { readonly text: string; readonly line: number }>;
  readonly problems: readonly Problem[];
}

const LINE = /^(?:export\s+)?([A-Za-z_]\w*)\s*=\s*(.*)$/;
const QUOTES = ['"', "'", '`'];

/**
 * Reads a `.env` text: `NAME=value`, an optional `export`, single or double quotes, `#` comments (after white space
 * in an unquoted value). Double quotes know `\n`, `\"` and `\\`. A quoted value over several lines (a key, say) is
 * passed over: keys are read from files here. The last of two equal names wins, as in a shell.
 */
export function parseDotEnv(text: string, name: string): DotEnv {
  const values = new Map<string, { text: string; line: number }>();
  const problems: Problem[] = [];
  const lines = text.split(/\r\n|\n|\r/);
  for (let at = 0; at < lines.length; at++) {
    const line = at + 1;
    const content = lines[at]!.trim();
    if (content === '' || content.startsWith('#')) continue;
    const match = LINE.exec(content);
    if (match === null) {
      problems.push({ where: `${name}:${line}`, what: 'is not read; write NAME=value' });
      continue;
    }
    const [, variable, rest] = match as unknown as [string, string, string];
    const quote = QUOTES.find((mark) => rest.startsWith(mark));
    if (quote === undefined) {
      values.set(variable, { text: rest.replace(/(^|\s+)#.*$/, '').trim(), line });
      continue;
    }
    const end = closingQuote(rest, quote);
    if (end >= 0) {
      const tail = rest.slice(end + 1).trim();
      if (tail !== '' && !tail.startsWith('#')) {
        problems.push({
          where: `${name}:${line} ${variable}`,
          what: 'has text behind its closing quote; quote all of it',
        });
      }
      const inner = rest.slice(1, end);
      values.set(variable, { text: quote === '"' ? unescapeText(inner) : inner, line });
      continue;
    }
    const last = lines.findIndex(
      (later, index) => index > at && closingQuote(`${quote}${later}`, quote) >= 0,
    );
    if (last < 0)
      problems.push({
        where: `${name}:${line} ${variable}`,
        what: 'opens a quote that is never closed; close it',
      });
    else at = last;
  }
  return { values, problems };
}

function closingQuote(text: string, quote: string): number {
  for (let i = 1; i < text.length; i++) {
    if (text[i] === '\\' && quote === '"') i++;
    else if (text[i] === quote) return i;
  }
  return -1;
}

function unescapeText(text: string): string {
  return text.replace(/\\([n"\\])/g, (_, letter: string) => (letter === 'n' ? '\n' : letter));
}
