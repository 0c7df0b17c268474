import type { Problem } from '../errors.ts';
import type { GivenKeys } from './assign.ts';
import { interpolate } from './interpolate.ts';
import type { FindReference } from './interpolate.ts';
import { KEYS, SECTIONS } from './schema.ts';
import type { NamedKey, Setting, Settings } from './schema.ts';
import type { KeySpec, SectionSpec } from './schema/keySpec.ts';
import { TEMPLATE_NAMES, parseValue } from './values.ts';
import type { ReadValue, ValueContext } from './values.ts';

export interface ResolveContext extends ValueContext {
  /** Name of the INI, for messages about keys that nobody gave. */
  readonly iniName: string;
  readonly find: FindReference;
  /** Whether an optional section is there. */
  readonly isPresent: (section: string) => boolean;
  /** Whether a text for the key was given that could not be read, which is told already. */
  readonly isBroken: (name: string) => boolean;
  /** false: required keys may be missing and are then empty (commands that need no server). */
  readonly complete: boolean;
  readonly readSecretFile: (file: string) => Promise<ReadValue>;
}

export interface Resolved {
  readonly settings: Settings;
  readonly sources: Readonly<Record<string, string>>;
  readonly problems: readonly Problem[];
}

const NO_TEMPLATES: ReadonlySet<string> = new Set();

/** The settings that the texts stand for, with every problem among them. */
export async function resolveSettings(keys: GivenKeys, context: ResolveContext): Promise<Resolved> {
  const problems: Problem[] = [];
  const sources: Record<string, string> = {};
  const sections: Record<string, Record<string, Setting> | undefined> = {};
  for (const [section, { optional }] of Object.entries<SectionSpec>(SECTIONS)) {
    sections[section] = optional === true && !context.isPresent(section) ? undefined : {};
  }
  for (const named of KEYS.values()) {
    const values = sections[named.section];
    if (values === undefined || named.fileOf !== undefined) continue;
    const fileKey = KEYS.get(`${named.name}_file`);
    const given = keys.get(named.name) ?? keys.get(`${named.name}_file`);
    if (given === undefined) {
      const { key, section, spec } = named;
      values[key] = undefined;
      if (spec.required !== true) continue;
      values[key] = '';
      if (!context.complete || context.isBroken(named.name)) continue;
      const what = `is not set; write ${key} = ${spec.example ?? '...'}`;
      problems.push({ where: `${context.iniName} [${section}] ${key}`, what });
      continue;
    }
    const fromFile = !keys.has(named.name) && fileKey !== undefined;
    const result = fromFile
      ? await secretOf(given.text, fileKey, named.spec, context)
      : readText(given.text, named, context);
    if ('problem' in result) problems.push({ where: given.where, what: result.problem });
    else values[named.key] = result.value;
    sources[named.name] = given.source;
  }
  // The table's types are derived from the same table that filled the values.
  return { settings: sections as unknown as Settings, sources, problems };
}

async function secretOf(
  text: string,
  fileKey: NamedKey,
  spec: KeySpec,
  context: ResolveContext,
): Promise<ReadValue> {
  const file = readText(text, fileKey, context);
  if ('problem' in file) return file;
  const read = await context.readSecretFile(file.value as string);
  if ('problem' in read) return read;
  const value = parseValue(read.value as string, spec, context);
  return 'problem' in value
    ? { problem: `names ${file.value as string}, whose text ${value.problem}` }
    : value;
}

function readText(text: string, { section, spec }: NamedKey, context: ResolveContext): ReadValue {
  if (spec.secret === true) return parseValue(text, spec, context);
  const templates = spec.kind === 'template' ? TEMPLATE_NAMES : NO_TEMPLATES;
  const result = interpolate(text, section, context.find, templates);
  if ('problem' in result) return result;
  const value = parseValue(result.text, spec, context);
  // One base, one spelling: the path is joined to it with a slash.
  const isBase = 'value' in value && spec.kind === 'url' && typeof value.value === 'string';
  return isBase && section === 'epic_settings' ? { value: value.value.replace(/\/+$/, '') } : value;
}
