import type { Problem } from '../errors.ts';
import type { Given, GivenKeys } from './assign.ts';
import type { DotEnv } from './dotEnv.ts';
import { didYouMean } from './nearest.ts';
import { KEYS } from './schema.ts';

const PREFIX = 'FHIR_ROUNDS_';

/** Variables with the prefix that are no settings. */
const OTHER_VARIABLES: ReadonlySet<string> = new Set(['FHIR_ROUNDS_SAMPLE_DATA']);

/** Names that people have in their `.env` already, and the settings they fill when the INI leaves them unset. */
export const PEOPLES_NAMES: Readonly<Record<string, string>> = {
  CLIENT_ID: 'oauth_settings.client_id',
  EPIC_CLIENT_ID: 'oauth_settings.client_id',
  EPIC_BACKEND_CLIENT_ID: 'oauth_settings.client_id',
  AUTH_URL: 'oauth_settings.token_endpoint',
  EPIC_TOKEN_URL: 'oauth_settings.token_endpoint',
  SCOPES: 'oauth_settings.scope',
  BASE_URI: 'epic_settings.epic_endpoint',
  FHIR_BASE_URL: 'epic_settings.epic_endpoint',
  EPIC_FHIR_BASE_URL: 'epic_settings.epic_endpoint',
  EPIC_ENV: 'epic_settings.environment',
  PRIVATE_KEY_PATH: 'paths.private_key',
  EPIC_PRIVATE_KEY_PATH: 'paths.private_key',
  GROUP_ID: 'bulk.group_id',
  JWT_EXPIRY_MINUTES: 'jwt_settings.jwt_expiry_minutes',
};

/** The variable that overrides a setting: `FHIR_ROUNDS_API_SETTINGS_PAGE_SIZE`. */
export function variableName(setting: string): string {
  return PREFIX + setting.replace('.', '_').toUpperCase();
}

const SETTING_BY_VARIABLE: ReadonlyMap<string, string> = new Map(
  [...KEYS.keys()].map((setting) => [variableName(setting), setting]),
);

export interface Variables {
  /** All that is set, for `${NAME}`. */
  readonly all: ReadonlyMap<string, string>;
  /** FHIR_ROUNDS_*: stronger than the INI. */
  readonly overrides: GivenKeys;
  /** People's names: weaker than the INI. */
  readonly people: GivenKeys;
  readonly problems: readonly Problem[];
  readonly warnings: readonly string[];
}

/**
 * Sorts the variables of the environment and of `.env` (the environment wins) to overrides and fillings. An empty
 * variable counts as unset, since container files pass such on.
 */
export function readVariables(
  env: Readonly<Record<string, string | undefined>>,
  dotEnv: DotEnv,
  dotEnvName: string,
): Variables {
  const problems: Problem[] = [...dotEnv.problems];
  const warnings: string[] = [];
  const overrides: GivenKeys = new Map();
  const people: GivenKeys = new Map();
  const all = new Map<string, string>();
  const sources = new Map<string, string>();
  for (const [name, { text, line }] of dotEnv.values) {
    all.set(name, text);
    sources.set(name, `${dotEnvName}:${line}`);
  }
  for (const [name, text] of Object.entries(env)) {
    if (text === undefined || text === '') continue;
    all.set(name, text);
    sources.set(name, name);
  }

  for (const [name, text] of all) {
    const source = sources.get(name)!;
    const where = source === name ? `environment ${name}` : `${source} ${name}`;
    if (text === '' || !name.startsWith(PREFIX) || OTHER_VARIABLES.has(name)) continue;
    const setting = SETTING_BY_VARIABLE.get(name);
    if (setting !== undefined) overrides.set(setting, { text, source, where });
    else
      problems.push({
        where,
        what: `there is no such setting${didYouMean(name, SETTING_BY_VARIABLE.keys())}`,
      });
  }

  for (const [name, setting] of Object.entries(PEOPLES_NAMES)) {
    const text = all.get(name);
    if (text === undefined || text === '') continue;
    const source = sources.get(name)!;
    const given: Given = {
      text,
      source,
      where: source === name ? `environment ${name}` : `${source} ${name}`,
    };
    const other = people.get(setting);
    if (other !== undefined && other.text !== text) {
      problems.push({
        where: given.where,
        what: `differs from ${other.where}, which means the same; keep one`,
      });
    }
    people.set(setting, other ?? given);
  }

  if (all.has('PRIVATE_KEY') && sources.get('PRIVATE_KEY') !== 'PRIVATE_KEY') {
    warnings.push(
      `${sources.get('PRIVATE_KEY')} PRIVATE_KEY is not used: write the key to a file and name it in PRIVATE_KEY_PATH`,
    );
  }
  return { all, overrides, people, problems, warnings };
}
