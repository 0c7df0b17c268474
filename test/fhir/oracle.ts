/**
 * Test support: an independent reading of JSON text, plain and slow, and a seeded generator of searchsets. The
 * oracle works on characters with a recursive descent, the code under test on bytes with hops, so that they share
 * no idea.
 */

/** Uniform numbers 0 <= n < 1, the same for the same seed (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

interface Node {
  /** The value's tokens, joined: the text without white space between them. */
  readonly compact: string;
  readonly members?: ReadonlyMap<string, Node>;
  readonly items?: readonly Node[];
}

/** The text without white space between tokens, and the compact text of each entry's resource. */
export function readByOracle(text: string): { compact: string; resources: string[] } {
  let at = 0;
  const skip = (): void => {
    while (' \t\r\n'.includes(text.charAt(at)) && at < text.length) at++;
  };
  const readString = (): string => {
    const start = at++;
    while (text.charAt(at) !== '"') at += text.charAt(at) === '\\' ? 2 : 1;
    return text.slice(start, ++at);
  };
  const readNode = (): Node => {
    skip();
    const first = text.charAt(at);
    if (first === '"') return { compact: readString() };
    if (first === '{') {
      const members = new Map<string, Node>();
      const parts: string[] = [];
      at++;
      for (skip(); text.charAt(at) !== '}'; skip()) {
        if (text.charAt(at) === ',') at++;
        skip();
        const key = readString();
        skip();
        at++;
        const value = readNode();
        members.set(JSON.parse(key) as string, value);
        parts.push(`${key}:${value.compact}`);
      }
      at++;
      return { compact: `{${parts.join(',')}}`, members };
    }
    if (first === '[') {
      const items: Node[] = [];
      at++;
      for (skip(); text.charAt(at) !== ']'; skip()) {
        if (text.charAt(at) === ',') at++;
        items.push(readNode());
      }
      at++;
      return { compact: `[${items.map((item) => item.compact).join(',')}]`, items };
    }
    const start = at;
    while (at < text.length && !' \t\r\n,]}'.includes(text.charAt(at))) at++;
    return { compact: text.slice(start, at) };
  };
  const root = readNode();
  const entries = root.members?.get('entry')?.items ?? [];
  const resources = entries.map((entry) => entry.members?.get('resource')?.compact ?? '');
  return { compact: root.compact, resources };
}

const NASTY_STRINGS = [
  '',
  'plain',
  '\\"',
  '\\\\',
  '\\\\\\"',
  'ends in a backslash \\\\',
  '}]{[,:',
  '\\"entry\\":[{\\"resource\\":{\\"resourceType\\":\\"Patient\\",\\"id\\":\\"no\\"}}]',
  'https:\\/\\/x\\/y',
  '\u2028\u2029',
  'ü€😀',
  '\\ud83d\\ude00 \\u0022 \\u005c',
  '  blanks   inside  ',
  'a longer text that is surely over thirty-two bytes, with \\"quotes\\" and \\\\ at its end \\\\\\\\',
  'x'.repeat(31) + '\\"',
  'x'.repeat(31) + '\\\\',
  'x'.repeat(32) + '\\\\\\"y',
];
const NASTY_NUMBERS = ['0', '-0', '1.50', '1E+2', '1e-7', '12345678901234567890', '-0.0', '100.000'];
const KEYS = [
  'a',
  'entry',
  'resource',
  'id',
  'resourceType',
  'extension',
  '__proto__',
  '',
  '1',
  'val\\u0075e',
  'k\\"ey',
];

/** A searchset as text, with what no server should send and JSON allows. */
export function randomSearchset(random: () => number): string {
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T;
  const chance = (of: number): boolean => random() < of;
  const airy = chance(0.6);
  const gap = (): string => (airy && chance(0.5) ? pick([' ', '\n', '\t', '\r\n', '  \n\t ']) : '');
  const text = (): string => `"${pick(NASTY_STRINGS)}"`;
  const name = (key: string): string =>
    chance(0.15) && key.length > 0
      ? `"\\u${key.charCodeAt(0).toString(16).padStart(4, '0')}${key.slice(1)}"`
      : `"${key}"`;
  const object = (members: readonly (readonly [string, string])[]): string =>
    `{${gap()}${members.map(([key, value]) => `${key}${gap()}:${gap()}${value}`).join(`${gap()},${gap()}`)}${gap()}}`;
  const array = (items: readonly string[]): string => `[${gap()}${items.join(`${gap()},${gap()}`)}${gap()}]`;
  const upTo = (most: number): number[] =>
    Array.from({ length: Math.floor(random() * (most + 1)) }, (_, n) => n);
  const value = (depth: number): string => {
    const kind = random();
    if (depth > 4 || kind < 0.4) return text();
    if (kind < 0.55) return pick(NASTY_NUMBERS);
    if (kind < 0.65) return pick(['true', 'false', 'null']);
    if (kind < 0.8) return array(upTo(3).map(() => value(depth + 1)));
    return object(upTo(3).map(() => [`"${pick(KEYS)}"`, value(depth + 1)]));
  };
  const shuffled = (members: (readonly [string, string])[]): (readonly [string, string])[] => {
    for (let n = members.length - 1; n > 0; n--) {
      const other = Math.floor(random() * (n + 1));
      [members[n], members[other]] = [members[other]!, members[n]!];
    }
    return members;
  };
  const extra = (most: number): [string, string][] =>
    upTo(most).map((n) => [`"${pick(['x', 'entries', 'resourc', 'entry_', 'k\\"'])}${n}"`, value(1)]);
  const resource = (): string => {
    const members = shuffled([
      [name('resourceType'), `"${pick(['Observation', 'Patient', 'Condi\\u0074ion'])}"`],
      [name('id'), `"${pick(['1', 'eq081-VQEgP8drUUqCWzHfw3', 'a.b_c', 'escap\\u0065d'])}"`],
      ['"contained"', array([object([['"entry"', array([object([['"resource"', value(2)]])])]])])],
      ...extra(5),
    ]);
    // The last of two equal keys wins.
    return object(chance(0.1) ? [['"id"', '"first"'], ['"resourceType"', '"First"'], ...members] : members);
  };
  const entry = (): string => {
    const members = shuffled([
      [name('resource'), resource()],
      ['"fullUrl"', '"https://fhir.example/x"'],
      ['"search"', object([['"mode"', pick(['"match"', '"include"'])]])],
      ...extra(3),
    ]);
    return object(chance(0.1) ? [['"resource"', value(1)], ...members] : members);
  };
  const members = shuffled([
    ['"resourceType"', '"Bundle"'],
    ['"type"', '"searchset"'],
    [name('entry'), array(upTo(6).map(() => entry()))],
    ...extra(3),
  ]);
  return gap() + object(chance(0.1) ? [['"entry"', value(1)], ...members] : members) + gap();
}
