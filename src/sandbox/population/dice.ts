/** Repeatable chance: every draw is computed from its arguments, so that nothing about a population is kept. */

/** A 32-bit unsigned draw from the numbers given (murmur3's mixing steps). The same numbers, the same draw. */
export function draw(...parts: readonly number[]): number {
  let hash = 0x9747b28c;
  for (const part of parts) {
    // The high part too: an ordinal may be above 2^32.
    for (const word of part > 0xffffffff ? [part % 0x100000000, Math.floor(part / 0x100000000)] : [part]) {
      let mixed = Math.imul(word | 0, 0xcc9e2d51);
      mixed = (mixed << 15) | (mixed >>> 17);
      hash ^= Math.imul(mixed, 0x1b873593);
      hash = (hash << 13) | (hash >>> 19);
      hash = (Math.imul(hash, 5) + 0xe6546b64) | 0;
    }
  }
  hash ^= hash >>> 16;
  hash = Math.imul(hash, 0x85ebca6b);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** A 32-bit unsigned hash of a text (FNV-1a over its UTF-16 units, then mixed). */
export function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  }
  return draw(hash >>> 0);
}
