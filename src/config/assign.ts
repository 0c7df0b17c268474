import type { Problem } from '../errors.ts';
import { didYouMean } from './nearest.ts';
import { IGNORED_KEYS, IGNORED_SECTIONS, JOB_NAME, KEYS, SECTIONS } from './schema.ts';
import { ENVIRONMENT_KEYS } from './schema/access.ts';
import { readIniText } from './iniText.ts';
import type { IniEntry, IniLines } from './iniText.ts';

/** A text that somebody gave for a key, and where. */
export interface Given {
  readonly text: string;
  /** `file:line`, the name of an environment variable, or `default`. */
  readonly source: string;
  /** Start of a message about it: `file:line [section] key`. */
  readonly where: string;
}

/** Texts by `section.key` (by key in an environment). */
export type GivenKeys = Map<string, Given>;

export interface IniContent {
  readonly base: GivenKeys;
  readonly jobs: ReadonlyMap<string, GivenKeys>;
  readonly environments: ReadonlyMap<string, GivenKeys>;
  /** Sections that have a header, also an empty one. */
  readonly present: ReadonlySet<string>;
  /** Original keys without a meaning here: only interpolation sees them. */
  readonly ignored: GivenKeys;
  /** Settings with a text that could not be read: they are wrong, but not missing. */
  readonly broken: ReadonlySet<string>;
  readonly problems: readonly Problem[];
  readonly warnings: readonly string[];
}

/** A folder's name on no system: these open devices on Windows. */
const DEVICE_NAME = /^(con|prn|aux|nul|com\d|lpt\d)$/;

/** Sorts the INI's entries to settings, jobs and environments, and names every unknown section and key. */
export function assignEntries(
  { headers, entries, problems: found }: IniLines,
  parsed: Readonly<Record<string, Readonly<Record<string, unknown>> | undefined>>,
  name: string,
): IniContent {
  const problems: Problem[] = [...found];
  const warnings: string[] = [];
  const base: GivenKeys = new Map();
  const ignored: GivenKeys = new Map();
  const jobs = new Map<string, GivenKeys>();
  const environments = new Map<string, GivenKeys>();
  const present = new Set<string>();
  const broken = new Set<string>();
  const unknownSections = new Set<string>();
  const jobLines = new Map<string, number>();

  for (const { section, line } of headers) {
    const where = `${name}:${line} [${section}]`;
    const report = (what: string): void => void problems.push({ where, what });
    const [, kind, label] = /^(job|environment)(?: +(.*))?$/.exec(section) ?? [];
    if (kind !== undefined) {
      const names = kind === 'job' ? jobs : environments;
      if (label === undefined || !JOB_NAME.test(label) || DEVICE_NAME.test(label)) {
        report(`needs a name of 1 to 40 small letters, digits and -; write such as [${kind} nightly]`);
        unknownSections.add(section);
      } else if (names.has(label) && kind === 'job') {
        report(`a job of this name begins in line ${jobLines.get(label)}; give this one another name`);
      } else {
        names.set(label, names.get(label) ?? new Map<string, Given>());
        jobLines.set(label, line);
      }
    } else if (Object.hasOwn(SECTIONS, section)) {
      present.add(section);
    } else if (!IGNORED_SECTIONS.has(section)) {
      report(`there is no such section${didYouMean(section, Object.keys(SECTIONS))}`);
      unknownSections.add(section);
    }
  }

  for (const entry of entries) {
    const { section, key } = entry;
    if (unknownSections.has(section)) continue;
    const where = `${name}:${entry.line} [${section}] ${key}`;
    const [, kind, label] = /^(job|environment) +(.*)$/.exec(section) ?? [];
    const full = kind === undefined ? `${section}.${key}` : key;
    const isIgnored = IGNORED_SECTIONS.has(section) || IGNORED_KEYS.has(full);
    const target = targetKey(kind, full);
    if (target === undefined && !isIgnored) {
      problems.push({ where, what: unknownKey(kind, section, key) });
      continue;
    }
    const spec = target === undefined ? undefined : KEYS.get(target)?.spec;
    if (kind === 'job' && spec?.wide === true) {
      const [home, bare] = full.split('.');
      problems.push({ where, what: `holds for all jobs; write ${bare} in [${home}]` });
      continue;
    }
    const text = entryText(entry, parsed[section]?.[key], spec?.kind, spec?.secret === true);
    if (text.warning !== undefined) warnings.push(`${where}: ${text.warning}`);
    if (text.problem !== undefined && target !== undefined) {
      problems.push({ where, what: text.problem });
      broken.add(target);
    }
    if (text.text === undefined) continue;
    const given: Given = { text: text.text, source: `${name}:${entry.line}`, where };
    if (isIgnored) ignored.set(full, given);
    else if (kind === 'job') jobs.get(label!)?.set(full, given);
    else if (kind === 'environment') environments.get(label!)?.set(key, given);
    else base.set(full, given);
  }

  if (ignored.size > 0) {
    const list = [...ignored.values()].map(({ where }) => where.slice(name.length + 1)).join(', ');
    warnings.push(`${name}: keys of the original program that are not used here: ${list}`);
  }
  return { base, jobs, environments, present, ignored, broken, problems, warnings };
}

/** The setting that an entry is about; undefined when there is none of that name. */
function targetKey(kind: string | undefined, full: string): string | undefined {
  if (kind === 'environment') {
    return Object.hasOwn(ENVIRONMENT_KEYS, full)
      ? ENVIRONMENT_KEYS[full as keyof typeof ENVIRONMENT_KEYS]
      : undefined;
  }
  if (kind === 'job' && full === 'method') return full;
  return KEYS.has(full) ? full : undefined;
}

function unknownKey(kind: string | undefined, section: string, key: string): string {
  if (kind === 'environment') {
    return `there is no such key in an environment${didYouMean(key, Object.keys(ENVIRONMENT_KEYS))}`;
  }
  const homes = [...KEYS.values()].filter((named) => named.key === key);
  if (kind === 'job') {
    if (homes[0] !== undefined) return `a job's keys name their section; write ${homes[0].name}`;
    return `there is no such key${didYouMean(key, ['method', ...KEYS.keys()])}`;
  }
  const own = [...KEYS.values()].filter((named) => named.section === section).map((named) => named.key);
  const near = didYouMean(key, own);
  if (near === '' && homes[0] !== undefined)
    return `there is no such key here; it belongs in [${homes[0].section}]`;
  return `there is no such key${near}`;
}

function entryText(
  { raw }: IniEntry,
  parsed: unknown,
  kind: string | undefined,
  secret: boolean,
): { text?: string; problem?: string; warning?: string } {
  if (raw === undefined) {
    if (kind === 'boolean') return { text: 'true' };
    return { problem: 'has no = and so no value; write key = value' };
  }
  const path = kind === 'folder' || kind === 'file';
  return readIniText(raw, raw === '' ? '' : parsed, { secret, path });
}
