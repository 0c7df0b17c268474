import path from 'node:path';
import { parseHours } from '../system/dayHours.ts';
import { isWindows } from '../system/files.ts';
import { cronProblem } from './cronSyntax.ts';
import { didYouMean } from './nearest.ts';
import type { Setting } from './schema.ts';
import type { KeyKind, KeySpec } from './schema/keySpec.ts';

export type ReadValue = { readonly value: Setting } | { readonly problem: string };

export interface ValueContext {
  /** Absolute; what relative paths start from. */
  readonly appFolder: string;
  /** The scheduler's own judgement of a cron expression: a problem or undefined. */
  readonly validateCron?: ((text: string) => string | undefined) | undefined;
}

/** Names that may stand in `${...}` of a template and are replaced when a file is made. */
export const TEMPLATE_NAMES: ReadonlySet<string> = new Set(['ResourceType', 'Timestamp']);

/** The value of a key's text by the key's kind, or what is wrong with it and what to write. */
export function parseValue(text: string, spec: KeySpec, context: ValueContext): ReadValue {
  // eslint-disable-next-line no-control-regex -- line breaks and their like are what is refused
  if (/[\u0000-\u001f\u007f]/.test(text))
    return { problem: 'holds a line break or another control character; remove it' };
  if (spec.secret === true && spec.kind === 'string') return { value: text };
  const word = text.trim();
  const read = READERS[spec.kind];
  if (read !== undefined) return read(word, spec, context);
  const problem = TEXT_PROBLEMS[spec.kind]?.(word, context);
  return problem === undefined ? { value: word } : { problem };
}

const words = (text: string): string[] =>
  text
    .split(',')
    .map((word) => word.trim())
    .filter((word) => word !== '');

const SECONDS: Readonly<Record<string, number>> = {
  ms: 0.001, s: 1, sec: 1, second: 1, seconds: 1, m: 60, min: 60, minute: 60, minutes: 60,
  h: 3600, hour: 3600, hours: 3600, d: 86_400, day: 86_400, days: 86_400,
}; // prettier-ignore

function parseNumber(text: string, { kind, unit, min = -Infinity, max = Infinity }: KeySpec): ReadValue {
  const range = `${kind === 'integer' ? 'a whole number' : 'a number'} from ${min} to ${max}`;
  const wanted = unit === undefined ? range : `${range} (${unit})`;
  const value = /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : NaN;
  if (Number.isNaN(value)) {
    const [, digits, suffix] = /^(\d+(?:\.\d+)?)\s*([a-z%]+)$/i.exec(text) ?? [];
    if (digits === undefined || suffix === undefined) return { problem: `is "${text}"; write ${wanted}` };
    const from = SECONDS[suffix.toLowerCase()];
    const to = unit === undefined ? undefined : SECONDS[unit];
    const converted = from !== undefined && to !== undefined ? (Number(digits) * from) / to : Number(digits);
    return {
      problem: `is "${text}"; write the number alone${unit === undefined ? '' : `, in ${unit}`}: ${converted}`,
    };
  }
  if (kind === 'integer' && !Number.isInteger(value)) return { problem: `is ${text}; write ${wanted}` };
  if (value < min || value > max) return { problem: `is ${text}; write ${wanted}` };
  return { value };
}

const BOOLEANS: Readonly<Record<string, boolean>> = {
  true: true, yes: true, on: true, '1': true, false: false, no: false, off: false, '0': false,
}; // prettier-ignore

/** true, yes, on, 1 and false, no, off, 0, in any case; undefined for anything else. */
export function booleanWord(text: string): boolean | undefined {
  const word = text.toLowerCase();
  return Object.hasOwn(BOOLEANS, word) ? BOOLEANS[word] : undefined;
}

function parseBoolean(text: string): ReadValue {
  const value = booleanWord(text);
  return value === undefined ? { problem: `is "${text}"; write true or false` } : { value };
}

function parseEnum(text: string, { values = [] }: KeySpec): ReadValue {
  const value = values.find((word) => word.toLowerCase() === text.toLowerCase());
  if (value !== undefined) return { value };
  return { problem: `is "${text}"${didYouMean(text, values)}; write one of ${values.join(', ')}` };
}

function parsePath(text: string, _spec: KeySpec, { appFolder }: ValueContext): ReadValue {
  const problem = pathProblem(text);
  return problem === undefined ? { value: path.resolve(appFolder, text) } : { problem };
}

/** Why a path cannot be meant on this machine, with the path to write instead. */
export function pathProblem(text: string, windows: boolean = isWindows): string | undefined {
  if (text.startsWith('~')) return `starts with ~, which only a shell knows; write \${HOME}${text.slice(1)}`;
  if (windows) return undefined;
  const slashes = text.replaceAll('\\', '/');
  if (/^[A-Za-z]:/.test(text)) {
    return `is a Windows path; write ${slashes.slice(2) || '/'} or a path relative to app_folder_name`;
  }
  if (text.startsWith('\\\\')) return `is a Windows share; mount it and write the path it is mounted at`;
  if (text.includes('\\')) return `has backslashes; write ${slashes}`;
  return undefined;
}

/** Whether a host is this machine's own loopback address. */
export function isLoopback(host: string): boolean {
  const bare = host.replace(/^\[|\]$/g, '').toLowerCase();
  return bare === 'localhost' || bare === '::1' || /^127(\.\d{1,3}){3}$/.test(bare);
}

function urlProblem(text: string): string | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:\/\//i.test(text))
    return 'is no URL; write one that starts with https://';
  if (url.protocol === 'http:' && !isLoopback(url.hostname)) {
    return 'is plain http, which would show the token and the data to the network; write https://';
  }
  if (url.username !== '' || url.password !== '') return 'holds a user or password; remove it';
  if (/[?#]/.test(text)) return 'has a query or fragment; end it before the ? or #';
  return undefined;
}

function proxyProblem(text: string): string | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const right =
    url !== undefined && /^https?:\/\//i.test(text) && /^\/?$/.test(url.pathname + url.search + url.hash);
  return right ? undefined : 'is no proxy URL; write such as http://proxy.hospital.example:8080';
}

function timezoneProblem(text: string): string | undefined {
  try {
    new Intl.DateTimeFormat('en', { timeZone: text });
    return undefined;
  } catch {
    return `is "${text}"${didYouMean(text, Intl.supportedValuesOf('timeZone'))}; write an IANA name such as America/Chicago`;
  }
}

const PLAIN_ADDRESS = /^[^\s@<>,;:"()[\]\\]+@[^\s@<>,;:"()[\]\\]+$/;

function addressProblem(text: string): string | undefined {
  const address = /^[^<>@,;"\\]*<([^<>]*)>$/.exec(text)?.[1] ?? text;
  return PLAIN_ADDRESS.test(address)
    ? undefined
    : `has "${text}", which is no mail address; write name@host.example`;
}

function parseAddresses(text: string): ReadValue {
  const problem = words(text)
    .map(addressProblem)
    .find((wrong) => wrong !== undefined);
  return problem === undefined ? { value: words(text) } : { problem };
}

function templateProblem(text: string): string | undefined {
  if (!text.includes('${ResourceType}'))
    return 'has no ${ResourceType}, so all types would meet in one file; write it in';
  if (!text.endsWith('.ndjson')) return 'must end in .ndjson';
  const rest = text.replaceAll('${ResourceType}', 'X').replaceAll('${Timestamp}', 'X');
  if (/^\w[\w.-]*$/.test(rest)) return undefined;
  return 'is no plain file name; use letters, digits, - _ . and ${ResourceType}, ${Timestamp}';
}

/** Kinds whose value is not the text itself. */
const READERS: Readonly<
  Partial<Record<KeyKind, (text: string, spec: KeySpec, context: ValueContext) => ReadValue>>
> = {
  integer: parseNumber,
  number: parseNumber,
  boolean: parseBoolean,
  enum: parseEnum,
  list: (text) => ({ value: words(text) }),
  addresses: parseAddresses,
  folder: parsePath,
  file: parsePath,
};

/** What is wrong with a text of the other kinds; `string` takes any. */
const TEXT_PROBLEMS: Readonly<
  Partial<Record<KeyKind, (text: string, context: ValueContext) => string | undefined>>
> = {
  url: urlProblem,
  proxy: proxyProblem,
  cron: (text, { validateCron }) => (validateCron ?? cronProblem)(text),
  timezone: timezoneProblem,
  hours: (text) =>
    parseHours(text) === undefined ? 'is no list of hours; write such as 19:00-07:00' : undefined,
  address: addressProblem,
  host: (text) =>
    /^[\w.:-]+$/.test(text) ? undefined : 'is no host; write a name or an address alone, such as 127.0.0.1',
  template: templateProblem,
};
