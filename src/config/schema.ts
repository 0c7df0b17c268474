import type { KeySpec, SectionSpec } from './schema/keySpec.ts';
import { ACCESS_SECTIONS } from './schema/access.ts';
import { BULK_SECTIONS, PULL_SECTIONS } from './schema/pull.ts';
import { EMAIL_SECTIONS, SCHEDULE_SECTIONS, SERVICE_SECTIONS } from './schema/service.ts';

/** Every section and key of the INI, in the order in which they are documented. */
export const SECTIONS = {
  ...ACCESS_SECTIONS,
  ...PULL_SECTIONS,
  ...SCHEDULE_SECTIONS,
  ...EMAIL_SECTIONS,
  ...BULK_SECTIONS,
  ...SERVICE_SECTIONS,
} as const satisfies Record<string, SectionSpec>;

type Sections = typeof SECTIONS;

type ValueOf<K extends KeySpec> = K extends { readonly kind: 'integer' | 'number' }
  ? number
  : K extends { readonly kind: 'boolean' }
    ? boolean
    : K extends { readonly kind: 'enum'; readonly values: readonly (infer Word)[] }
      ? Word
      : K extends { readonly kind: 'list' | 'addresses' }
        ? readonly string[]
        : string;

type SettingOf<K extends KeySpec> = K extends { readonly default: string } | { readonly required: true }
  ? ValueOf<K>
  : ValueOf<K> | undefined;

type SectionSettings<S extends SectionSpec> = {
  readonly [key in keyof S['keys']]: SettingOf<S['keys'][key]>;
};

type AbsentSection<S extends SectionSpec> = S extends { readonly optional: true } ? undefined : never;

/**
 * All settings of one job under the INI's own names: `settings.api_settings.page_size` is a number, an unset key
 * without a default is `undefined`, and so is an optional section that is not there (`settings.email`). Paths are
 * absolute; numbers are in the unit that the key's name or specification says.
 */
export type Settings = {
  readonly [name in keyof Sections]: SectionSettings<Sections[name]> | AbsentSection<Sections[name]>;
};

export type Setting = string | number | boolean | readonly string[] | undefined;

export interface JobConfig {
  /** `[a-z0-9-]{1,40}`; `default` when the INI has no [job NAME]. */
  readonly jobName: string;
  readonly method: 'crawl' | 'bulk';
  readonly settings: Settings;
}

export interface Config {
  /** Absolute path of the INI. */
  readonly file: string;
  /** All that it was read from, absolute: the INI, the `.env` beside it (there or not), files of secrets. */
  readonly files: readonly string[];
  /** At least one, in the order of the INI. Keys marked `wide` are the same in all of them. */
  readonly jobs: readonly JobConfig[];
  /** One sentence each, for people; they hold no secret. */
  readonly warnings: readonly string[];
  /** Values that must never be printed. */
  readonly secrets: readonly string[];
  /** By job name, then by `section.key`: `file:line`, the environment variable's name, or `default`. */
  readonly sources: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

/** One key of the table under its full name. */
export interface NamedKey {
  /** `section.key`. */
  readonly name: string;
  readonly section: string;
  readonly key: string;
  readonly spec: KeySpec;
  /** For `smtp_pass_file` and its like: the name of the secret that the file holds. */
  readonly fileOf?: string;
}

function* listKeys(): Iterable<NamedKey> {
  for (const [section, { keys }] of Object.entries<SectionSpec>(SECTIONS)) {
    for (const [key, spec] of Object.entries(keys)) {
      yield { name: `${section}.${key}`, section, key, spec };
      if (spec.secret !== true) continue;
      const file: KeySpec = { kind: 'file', text: `File that holds ${key}.` };
      yield {
        name: `${section}.${key}_file`,
        section,
        key: `${key}_file`,
        spec: file,
        fileOf: `${section}.${key}`,
      };
    }
  }
}

/** Every key by `section.key`, in the table's order; each secret is followed by its `<key>_file`. */
export const KEYS: ReadonlyMap<string, NamedKey> = new Map(
  [...listKeys()].map((named) => [named.name, named]),
);

/** Name of a job, of its folder and of its lock. */
export const JOB_NAME = /^[a-z0-9-]{1,40}$/;
export const METHODS = ['crawl', 'bulk'] as const;

/** Sections of the original program that have no meaning here. */
export const IGNORED_SECTIONS: ReadonlySet<string> = new Set(['lab_data_settings', 'data_export']);
/** Keys of the original program that have no meaning here. */
export const IGNORED_KEYS: ReadonlySet<string> = new Set([
  'paths.base64_public_key',
  'rsa_settings.rsa_public_encoding',
  'rsa_settings.rsa_private_encoding',
  'oauth_settings.grant_type',
  'oauth_settings.client_assertion_type',
  'epic_settings.test_patient_id',
  'file_patterns.timestamp_format',
]);
