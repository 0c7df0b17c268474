import { createHash } from 'node:crypto';
import { KEYS } from './schema.ts';
import type { Config, Setting, Settings } from './schema.ts';

export interface SettingLine {
  readonly jobName: string;
  readonly section: string;
  readonly key: string;
  /** As one would write it; `(set)` for a secret, empty for an unset key. */
  readonly value: string;
  /** `file:line`, an environment variable's name, `default`, or empty for an unset key. */
  readonly source: string;
}

/** Every setting of every job for printing, in the reference's order. Secrets show as `(set)`. */
export function redactedSettings(config: Config): readonly SettingLine[] {
  const lines: SettingLine[] = [];
  for (const { jobName, method, settings } of config.jobs) {
    lines.push({ jobName, section: `job ${jobName}`, key: 'method', value: method, source: '' });
    for (const { name, section, key, spec, fileOf } of KEYS.values()) {
      if (fileOf !== undefined || !isPresent(settings, section)) continue;
      const setting = settingOf(settings, section, key);
      const shown = spec.secret === true ? '(set)' : [setting].flat().join(', ');
      const value = setting === undefined ? '' : shown;
      lines.push({ jobName, section, key, value, source: config.sources[jobName]?.[name] ?? '' });
    }
  }
  return lines;
}

/** The settings that shape what is asked of the server and what is stored, by `section.key`; none is a secret. */
export function pullSettings(settings: Settings): Readonly<Record<string, Exclude<Setting, undefined>>> {
  const pull: Record<string, Exclude<Setting, undefined>> = {};
  for (const { name, section, key, spec } of KEYS.values()) {
    if (spec.pull !== true || spec.secret === true) continue;
    const setting = settingOf(settings, section, key);
    if (setting !== undefined) pull[name] = setting;
  }
  return pull;
}

/**
 * sha256 (hex) over pullSettings: one line `section.key=JSON` each, sorted by name. Equal hashes mean that two runs
 * asked the same server for the same, in the same way; paths, speeds and secrets have no part in it.
 */
export function configHash(settings: Settings): string {
  const lines = Object.entries(pullSettings(settings)).map(
    ([name, value]) => `${name}=${JSON.stringify(value)}\n`,
  );
  return createHash('sha256').update(lines.sort().join('')).digest('hex');
}

const sectionOf = (settings: Settings, section: string): Readonly<Record<string, Setting>> | undefined =>
  settings[section as keyof Settings];

const isPresent = (settings: Settings, section: string): boolean =>
  sectionOf(settings, section) !== undefined;

const settingOf = (settings: Settings, section: string, key: string): Setting =>
  sectionOf(settings, section)?.[key];
