import { describe, expect, it } from 'vitest';
import { SeenIds, hash64 } from '../../src/inputs/seenIds.ts';
import { utf8Check } from '../../src/inputs/utf8.ts';

describe('SeenIds', () => {
  it('knows every text it was given, and no other, over its growth', () => {
    const seen = new SeenIds();
    const lines = Array.from({ length: 20_000 }, (_, i) => i + 1);
    for (const line of lines) seen.add(`id-${line}`, line);
    expect(lines.flatMap((line) => seen.linesOf(`id-${line}`))).toEqual(lines);
    expect(lines.flatMap((line) => seen.linesOf(`other-${line}`))).toEqual([]);
  });

  it('gives all lines of one hash, so that the caller can look', () => {
    const seen = new SeenIds(() => [7, 7]);
    for (let line = 1; line <= 1500; line++) seen.add(`text ${line}`, line);
    expect(seen.linesOf('another')).toEqual(Array.from({ length: 1500 }, (_, i) => i + 1));
  });

  it('does not take half a hash for a whole one', () => {
    const seen = new SeenIds((text) => (text === 'a' ? [1, 5] : [2, 5]));
    seen.add('a', 3);
    expect(seen.linesOf('b')).toEqual([]);
    seen.add('b', 4);
    expect(seen.linesOf('a')).toEqual([3]);
    expect(seen.linesOf('b')).toEqual([4]);
  });

  it('spreads neighbouring ids over both halves', () => {
    const texts = Array.from({ length: 20_000 }, (_, i) => `e${i}`);
    for (const half of [0, 1] as const) {
      // 20,000 random 32-bit values have 0.05 pairs in common.
      expect(new Set(texts.map((text) => hash64(text)[half])).size).toBeGreaterThan(19_990);
    }
  });
});

describe('utf8Check', () => {
  const text = Buffer.from('aé\n€𝄞\nz');

  it('takes text however it is cut', () => {
    for (let at = 0; at <= text.length; at++) {
      for (let next = at; next <= text.length; next++) {
        const check = utf8Check();
        for (const part of [text.subarray(0, at), text.subarray(at, next), text.subarray(next)]) {
          expect(check.push(part)).toBeUndefined();
        }
        expect(check.end()).toBeUndefined();
      }
    }
  });

  it('finds a bad byte in its line, however it is cut', () => {
    const bad = Buffer.concat([text, Buffer.from([0xfc]), Buffer.from('x\ny')]);
    for (let at = 0; at <= bad.length; at++) {
      const check = utf8Check();
      expect(check.push(bad.subarray(0, at)) ?? check.push(bad.subarray(at)) ?? check.end()).toBe(3);
    }
  });

  it('finds a character that the end of the file cuts', () => {
    const check = utf8Check();
    expect(check.push(Buffer.from([0x0a, 0xe2, 0x82]))).toBeUndefined();
    expect(check.end()).toBe(2);
  });
});
