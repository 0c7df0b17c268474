/** Texts that are legal JSON and hard on a client which parses and writes again, or scans carelessly. */

const RAW = Symbol('raw JSON');

/** A piece of JSON text that is written as it is. */
export interface RawJson {
  readonly [RAW]: string;
}

/** What the generators build: objects in key order, undefined members left out. */
export type Json =
  string | number | boolean | RawJson | readonly Json[] | { readonly [key: string]: Json | undefined };

export type JsonFields = Readonly<Record<string, Json | undefined>>;

/** Marks a text to be written as it is. It must be valid compact JSON. */
function raw(text: string): RawJson {
  return { [RAW]: text };
}

const isRaw = (value: object): value is RawJson => RAW in value;

/** Compact JSON text of a built value. */
export function toJsonText(value: Json): string {
  if (typeof value !== 'object') return JSON.stringify(value);
  if (isRaw(value)) return value[RAW];
  if (Array.isArray(value)) return `[${(value as readonly Json[]).map(toJsonText).join(',')}]`;
  let text = '';
  for (const [key, member] of Object.entries(value)) {
    if (member === undefined) continue;
    text += `${text === '' ? '' : ','}${JSON.stringify(key)}:${toJsonText(member)}`;
  }
  return `{${text}}`;
}

/** JSON strings, quotes included. Each is one trap. */
const HARD_STRINGS = [
  '"Reviewed with patient."',
  // Line separators, raw and escaped: a reader that splits lines at more than LF breaks here.
  '"raw \u2028 and \u2029, escaped \\u2028, NEL \u0085"',
  '"emoji \u{1F600}\u{1F468}\u200D\u{1F469}\u200D\u{1F467}, escaped \\uD83D\\ude00, accents \\u00E9 é"',
  '"escaped solidus https:\\/\\/example.org\\/a\\/b"',
  // Ends in an escaped backslash: the quote after it closes the string.
  '"quote \\" then backslash before quote \\\\\\" and a path C:\\\\"',
  '"\\\\"',
  '"{\\"resource\\":{\\"resourceType\\":\\"Patient\\",\\"id\\":\\"nested\\"},\\"search\\":{\\"mode\\":\\"match\\"}}"',
  '"}]},{\\"link\\":[{\\"relation\\":\\"next\\",\\"url\\":\\"https://example.org/nowhere\\"}],[ } ] ,"',
  '"  two  inner   spaces, a tab\\t, CR LF \\r\\n and a trailing blank "',
  '"lone surrogate \\ud800 and \\u0001 control"',
  '"0123456789 1.50 -0 1E+2 true null"',
] as const;

/** JSON numbers that a double does not give back. */
const HARD_NUMBERS = [
  '1.50',
  '1E+2',
  '-0',
  '12345678901234567890',
  '0.10',
  '98.60',
  '3.14159265358979323846',
  '1e-7',
  '120',
  '100.000',
] as const;

export function hardString(drawn: number): RawJson {
  return raw(HARD_STRINGS[drawn % HARD_STRINGS.length] ?? '""');
}

export function hardNumber(drawn: number): RawJson {
  return raw(HARD_NUMBERS[drawn % HARD_NUMBERS.length] ?? '0');
}

/** An extension whose keys look like integers: an object of a JavaScript parser would reorder them. */
export function hardExtension(drawn: number): RawJson {
  return raw(
    `{"url":"http:\\/\\/sandbox.invalid\\/fhir\\/StructureDefinition\\/order","10":"ten","9":"nine","2":${String(drawn % 10)}.0,"valueString":"kept in order"}`,
  );
}

/** A JSON string of about so many characters, with a quote or two escaped in it. */
export function longString(characters: number, drawn: number): RawJson {
  const words = 'Patient seen and examined. \\"Doing better\\" per family \\\\ plan unchanged. ';
  return raw(`"${words.repeat(Math.ceil(characters / words.length))}${String(drawn)}"`);
}

const RESERVED = new Set(['contained']);

/**
 * The text of one resource. Where `resourceType` and `id` stand varies by the draw, and contained resources
 * (with ids of their own) may come before the resource's id, as JSON gives no order to members.
 */
export function resourceText(type: string, id: string, fields: JsonFields, drawn: number): Buffer {
  const rest = Object.fromEntries(Object.entries(fields).filter(([key]) => !RESERVED.has(key)));
  const contained = fields['contained'];
  let ordered: JsonFields;
  switch (drawn % 8) {
    case 0:
      ordered = { id, resourceType: type, contained, ...rest };
      break;
    case 1:
      ordered = { resourceType: type, contained, ...rest, id };
      break;
    case 2:
      ordered = { contained, ...rest, id, resourceType: type };
      break;
    default:
      ordered = { resourceType: type, contained, id, ...rest };
  }
  return Buffer.from(toJsonText(ordered), 'utf8');
}
