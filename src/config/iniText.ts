import type { Problem } from '../errors.ts';

/**
 * The INI's raw lines. The `ini` package gives values without line numbers and reads some texts in ways that
 * nobody expects; this module finds the lines and names every such trap instead of living with it.
 */

export interface IniEntry {
  readonly section: string;
  readonly key: string;
  /** What stands behind `=`, trimmed; undefined when there is no `=`. */
  readonly raw: string | undefined;
  readonly line: number;
}

export interface IniHeader {
  readonly section: string;
  readonly line: number;
}

export interface IniLines {
  readonly headers: readonly IniHeader[];
  readonly entries: readonly IniEntry[];
  readonly problems: readonly Problem[];
}

const HEADER = /^\[([^[\]]*)\]\s*$/;
const LOOSE_HEADER = /^\s*\[([^[\]]*)\]?/;
const SECTION_NAME = /^[\w-]+( +[^\s.;#'"]+)?$/;
const KEY_NAME = /^[\w.-]+$/;
const UNUSABLE = new Set(['__proto__', 'constructor', 'prototype']);

/** Every section line and key line of the text, and what is wrong with lines as such. `name` is the file's name. */
export function scanIni(text: string, name: string): IniLines {
  const headers: IniHeader[] = [];
  const entries: IniEntry[] = [];
  const problems: Problem[] = [];
  const seen = new Map<string, number>();
  /** null below a section line that cannot be read: its keys are not judged. */
  let section: string | undefined | null;

  for (const [index, rawLine] of text.split(/\r\n|\n|\r/).entries()) {
    const line = index + 1;
    const content = rawLine.trim();
    const where = `${name}:${line}`;
    const report = (what: string): void => void problems.push({ where, what });
    if (content === '' || content.startsWith(';') || content.startsWith('#')) continue;
    if (content.startsWith('[')) {
      section = (LOOSE_HEADER.exec(rawLine)?.[1] ?? '').trim();
      if (!HEADER.test(rawLine)) {
        report(`a section line starts in the first column and holds nothing but [name]; write [${section}]`);
      } else if (!SECTION_NAME.test(section) || UNUSABLE.has(section)) {
        report('this cannot be the name of a section; write one such as [paths] or [job nightly]');
        section = null;
        continue;
      }
      headers.push({ section, line });
      continue;
    }
    if (section === null) continue;
    const equals = content.indexOf('=');
    const key = (equals < 0 ? content : content.slice(0, equals)).trim();
    if (key.endsWith('[]')) {
      report(`lists are written in one line; write ${key.slice(0, -2)} = first, second`);
    } else if (!KEY_NAME.test(key) || UNUSABLE.has(key)) {
      report('this is no key; write one `key = value` in a line');
    } else if (section === undefined) {
      report(`${key} stands before the first section; write a line such as [paths] above it`);
    } else {
      const full = `[${section}] ${key}`;
      const entry: IniEntry = {
        section,
        key,
        raw: equals < 0 ? undefined : content.slice(equals + 1).trim(),
        line,
      };
      const index = seen.get(full);
      const first = index === undefined ? undefined : entries[index];
      if (index !== undefined && first !== undefined) {
        problems.push({
          where: `${where} ${full}`,
          what: `stands in line ${first.line} already; keep one of the two`,
        });
        entries[index] = entry; // as the `ini` package reads it: the last one counts
        continue;
      }
      seen.set(full, entries.length);
      entries.push(entry);
    }
  }
  return { headers, entries, problems };
}

export interface ReadText {
  readonly text?: string;
  readonly problem?: string;
  readonly warning?: string;
}

/** `strict` keys (paths and secrets) get no inline comments; a secret's text is never repeated in a message. */
export interface TrapRules {
  readonly secret: boolean;
  readonly path: boolean;
}

/**
 * The text of one entry, or the trap it stepped into.
 * @param parsed what the `ini` package made of the same entry, for comparison
 */
export function readIniText(raw: string, parsed: unknown, rules: TrapRules): ReadText {
  const quote = raw.length > 1 && /^["']/.test(raw) && raw.endsWith(raw[0]!) ? raw[0] : undefined;
  if (quote === "'") return { text: raw.slice(1, -1) };
  if (quote === '"') return readDoubleQuoted(raw, parsed, rules);
  if (/^["']/.test(raw)) {
    return {
      problem:
        'the quote does not end at the end of the line; close it, and put a comment in a line of its own',
    };
  }
  return readUnquoted(raw, parsed, rules);
}

function readDoubleQuoted(raw: string, parsed: unknown, { secret, path }: TrapRules): ReadText {
  const inner = raw.slice(1, -1);
  const instead = secret ? 'write it in single quotes' : `write '${inner}'`;
  const text = String(parsed);
  if (!inner.includes('\\')) {
    return text === inner
      ? { text }
      : { problem: `holds quotes within quotes; ${secret ? instead : 'use single quotes around it'}` };
  }
  if (text === raw)
    return { problem: `a backslash in double quotes is an escape, and this one is none; ${instead}` };
  // eslint-disable-next-line no-control-regex -- \t, \n and their like are what is looked for
  if (/[\u0000-\u001f]/.test(text)) {
    return { problem: `in double quotes a backslash and a letter become one control character; ${instead}` };
  }
  if (path && /^\\(?!\\)/.test(text))
    return { problem: `in double quotes a share loses one of its backslashes; ${instead}` };
  return { text };
}

function readUnquoted(raw: string, parsed: unknown, { secret, path }: TrapRules): ReadText {
  const cut = commentStart(raw);
  const kept = cut < 0 ? raw : raw.slice(0, cut).trimEnd();
  if (cut >= 0) {
    const mark = raw[cut]!;
    const spaced = cut === 0 || /\s/.test(raw[cut - 1]!);
    if (secret)
      return { problem: `INI cuts an unquoted value off at its first ; or #; write it in single quotes` };
    if (path || !spaced) {
      const instead = spaced ? `put a comment in a line of its own, or write '${raw}'` : `write '${raw}'`;
      return { problem: `INI cuts an unquoted value off at "${mark}"; ${instead}` };
    }
  }
  if (/\\\\/.test(kept) && (secret || path)) {
    const instead = secret ? 'write it in single quotes' : `write '${kept}'`;
    return { problem: `INI makes one backslash of two; ${instead}` };
  }
  const text = kept.replace(/\\([\\;#])/g, '$1');
  if (String(parsed) !== text)
    return { problem: 'INI does not read this as it stands; write it in single quotes' };
  if (cut < 0) return { text };
  return {
    text,
    warning: `what follows "${raw[cut]!}" is taken as a comment; quote the value if it is part of it`,
  };
}

/** Index of the first `;` or `#` that no backslash precedes, or -1. */
function commentStart(raw: string): number {
  for (let i = 0; i < raw.length; i++) {
    if (raw[i] === '\\') i++;
    else if (raw[i] === ';' || raw[i] === '#') return i;
  }
  return -1;
}
