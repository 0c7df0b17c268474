import type { Problem } from '../errors.ts';
import type { Given, GivenKeys, IniContent } from './assign.ts';
import { interpolate } from './interpolate.ts';
import type { FindReference } from './interpolate.ts';
import { didYouMean } from './nearest.ts';
import { KEYS } from './schema.ts';
import { BUILT_IN_ENVIRONMENTS, ENVIRONMENT_KEYS } from './schema/access.ts';
import type { Variables } from './variables.ts';

/**
 * Which text counts for each key of a job. From weak to strong: default, people's names, the INI's sections, the
 * job's own keys, FHIR_ROUNDS_ variables. The environment's values come right above whatever names the
 * environment, except that one named in `.env` (EPIC_ENV) comes below the INI: it fills only what is unset there.
 * An empty text takes a key back to its default.
 */

export interface Layered {
  readonly keys: GivenKeys;
  readonly problems: readonly Problem[];
  readonly warnings: readonly string[];
}

const ENVIRONMENT = 'epic_settings.environment';

export function layerJob(job: GivenKeys, content: IniContent, variables: Variables): Layered {
  const problems: Problem[] = [];
  const warnings: string[] = [];
  const layers = [variables.people, content.base, job, variables.overrides];
  for (const layer of layers) problems.push(...doubleSecrets(layer));

  const plain = stack(layers);
  const named = plain.get(ENVIRONMENT);
  if (named !== undefined && named.source !== 'default') {
    const find = referenceFinder(plain, content.ignored, variables.all, undefined);
    const result = interpolate(named.text, 'epic_settings', find, new Set());
    if ('problem' in result) return { keys: plain, problems, warnings }; // told where the key itself is read
    const name = result.text.trim();
    const values = environmentLayer(name, content);
    if (values === undefined) {
      const known = [...content.environments.keys(), ...Object.keys(BUILT_IN_ENVIRONMENTS)];
      const what = `is "${name}"${didYouMean(name, known)}; write an [environment ${name}] section, or one of ${known.join(', ')}`;
      problems.push({ where: named.where, what });
    } else {
      const namer = layers.findIndex((layer) => layer.get(ENVIRONMENT) === named);
      // A variable outranks a job as a whole, so the environment it names does too.
      const at = namer === 0 ? 0 : namer === 3 ? 3 : namer + 1;
      layers.splice(at, 0, values);
      warnings.push(...outranked(name, values, layers.slice(0, at)));
    }
  }
  return { keys: stack(layers), problems, warnings };
}

/** The settings that an environment stands for; undefined when nobody defines it. */
function environmentLayer(name: string, content: IniContent): GivenKeys | undefined {
  const builtIn = Object.hasOwn(BUILT_IN_ENVIRONMENTS, name) ? BUILT_IN_ENVIRONMENTS[name] : undefined;
  const section = content.environments.get(name);
  if (builtIn === undefined && section === undefined) return undefined;
  const layer: GivenKeys = new Map();
  for (const [key, setting] of Object.entries(ENVIRONMENT_KEYS)) {
    const text = section?.has('endpoint') === true ? undefined : builtIn?.[key];
    const given = section?.get(key);
    const where = `[environment ${name}] ${key}`;
    if (given !== undefined) layer.set(setting, given);
    else if (text !== undefined) layer.set(setting, { text, source: `environment ${name}`, where });
  }
  // Another server's token endpoint, or another key's id, must never be taken over from the base sections.
  const reset = (setting: string, because: string): void => {
    if (!layer.has(because) || layer.has(setting)) return;
    layer.set(setting, { text: '', source: `environment ${name}`, where: `[environment ${name}]` });
  };
  reset('oauth_settings.token_endpoint', 'epic_settings.epic_endpoint');
  reset('jwt_settings.key_id', 'paths.private_key');
  return layer;
}

function* outranked(name: string, values: GivenKeys, weaker: readonly GivenKeys[]): Iterable<string> {
  for (const [setting, { text }] of values) {
    const loser = weaker.map((layer) => layer.get(setting)).findLast((given) => given !== undefined);
    if (loser !== undefined && loser.text !== '' && loser.text !== text) {
      yield `${loser.where}: not used, since the environment ${name} is chosen`;
    }
  }
}

/** The strongest text of every key, and the default of those that nobody gave. */
function stack(layers: readonly GivenKeys[]): GivenKeys {
  const keys: GivenKeys = new Map();
  for (const layer of layers) {
    for (const [name, given] of layer) {
      const named = KEYS.get(name);
      // A secret and the file that holds it are one setting: the stronger layer's form counts.
      if (named?.fileOf !== undefined) keys.delete(named.fileOf);
      if (named?.spec.secret === true) keys.delete(`${name}_file`);
      if (given.text === '') keys.delete(name);
      else keys.set(name, given);
    }
  }
  for (const { name, section, key, spec } of KEYS.values()) {
    if (spec.default === undefined || keys.has(name)) continue;
    keys.set(name, { text: spec.default, source: 'default', where: `[${section}] ${key}` });
  }
  return keys;
}

function* doubleSecrets(layer: GivenKeys): Iterable<Problem> {
  for (const [name, { where }] of layer) {
    const other: Given | undefined = layer.get(`${name}_file`);
    if (other === undefined || KEYS.get(`${name}_file`)?.fileOf !== name) continue;
    yield { where: other.where, what: `stands beside ${where}; keep one of the two` };
  }
}

/**
 * `${key}` of the same section, then `${section.key}`, then an environment variable. References to app_folder_name
 * give the absolute folder: `${app_folder_name}/exports` would else be resolved twice.
 */
export function referenceFinder(
  keys: GivenKeys,
  ignored: GivenKeys,
  variables: ReadonlyMap<string, string>,
  appFolder: string | undefined,
): FindReference {
  return (name, section) => {
    const id = name.includes('.') ? name : `${section}.${name}`;
    const spec = KEYS.get(id)?.spec;
    if (spec?.secret === true)
      return { problem: `\${${name}} is a secret, which is never put into another value` };
    if (id === 'paths.app_folder_name' && appFolder !== undefined)
      return { id, text: appFolder, section: undefined };
    const given = keys.get(id) ?? ignored.get(id);
    if (given !== undefined) return { id, text: given.text, section: id.slice(0, id.indexOf('.')) };
    if (spec !== undefined) return { problem: `\${${name}} is not set; set it or write its value` };
    const text = variables.get(name);
    return text === undefined ? undefined : { id: name, text, section: undefined };
  };
}
