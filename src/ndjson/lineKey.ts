/** 64 bits of a line's type and id, as two halves; never both 0. Equal for equal ones; whoever finds two looks closer. */
export type LineKey = readonly [high: number, low: number];

/** What is hashed of a text so far: two mixes that differ in more than their constants. */
export type TextHash = readonly [a: number, b: number];

export function hashText(bytes: Uint8Array, from: number, to: number): TextHash {
  let a = 0x9e3779b9;
  let b = 0x41c6ce57;
  for (let at = from; at < to; at++) {
    const byte = bytes[at]!;
    a = Math.imul(a ^ byte, 0x01000193);
    // The turn carries high bits down: without it the low bits of both halves would know the same.
    b = Math.imul(((b << 5) | (b >>> 27)) ^ byte, 0x5f356495);
  }
  return [a, b];
}

/** The key of a type and an id. */
export function keyOf(type: TextHash, resourceId: TextHash): LineKey {
  const high = mixed(Math.imul(type[0], 0x85ebca6b) ^ resourceId[0]);
  const low = mixed(Math.imul(type[1], 0xc2b2ae35) ^ resourceId[1]);
  return high === 0 && low === 0 ? [0, 1] : [high, low];
}

/** Source: the last step of MurmurHash3 (public domain): every bit of the result depends on every bit. */
function mixed(bits: number): number {
  let h = bits ^ (bits >>> 16);
  h = Math.imul(h, 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
