import { describe, expect, it } from 'vitest';
import {
  age,
  asciiLine,
  byteSize,
  change,
  duration,
  instant,
  oneLine,
  rosterLines,
} from '../../src/report/format.ts';

describe('format', () => {
  it('writes sizes in three digits and never 1000 of a unit', () => {
    const sizes = [0, 999, 1000, 99_949, 99_950, 999_499, 999_500, 1_234_567, 5e14];
    expect(sizes.map(byteSize)).toEqual([
      ...['0 B', '999 B', '1.0 kB', '99.9 kB', '100 kB', '999 kB', '1.0 MB', '1.2 MB'],
      '500 TB',
    ]);
  });

  it('writes durations in their two largest units', () => {
    const spans = [0, 849, 9_949, 9_950, 59_499, 59_500, 192_000, 3_600_000, 7_512_000, 183_600_000];
    expect(spans.map(duration)).toEqual([
      ...['0.0 s', '0.8 s', '9.9 s', '10 s', '59 s', '1 min 00 s', '3 min 12 s', '1 h 00 min'],
      ...['2 h 05 min', '2 d 3 h'],
    ]);
  });

  it('writes ages rounded down', () => {
    const ages = [0, 60_000, 3_599_999, 93_600_000, 172_800_000];
    expect(ages.map(age)).toEqual(['less than a minute', '1 minute', '59 minutes', '26 hours', '2 days']);
  });

  it('writes an instant in the zone, with the offset of that day', () => {
    const winter = Date.UTC(2026, 10, 22, 2, 0, 0);
    const summer = Date.UTC(2026, 8, 5, 23, 5, 9);
    expect(instant(winter, 'Europe/Berlin')).toBe('Sun 22 Nov 2026, 03:00:00 +01:00 (Europe/Berlin)');
    expect(instant(summer, 'Europe/Berlin')).toBe('Sun 6 Sep 2026, 01:05:09 +02:00 (Europe/Berlin)');
    expect(instant(winter, 'UTC')).toBe('Sun 22 Nov 2026, 02:00:00 +00:00 (UTC)');
    expect(instant(Date.UTC(2026, 0, 1), 'Asia/Kolkata')).toBe(
      'Thu 1 Jan 2026, 05:30:00 +05:30 (Asia/Kolkata)',
    );
    expect(instant(Date.UTC(2026, 0, 1), 'UTC')).toContain(' 00:00:00 ');
  });

  it('compares with the previous run', () => {
    expect(change(12, 0, true)).toBe('+12');
    expect(change(9_000, 12_000, true)).toBe('-3,000');
    expect(change(5, 5, true)).toBe('=');
    expect(change(5, undefined, true)).toBe('new');
    expect(change(5, undefined, false)).toBe('-');
  });

  it('names the first roster lines and counts the rest', () => {
    expect(rosterLines([118, 240], 14)).toBe('roster:118, roster:240 and 12 more');
    expect(rosterLines([118, 240], 2)).toBe('roster:118, roster:240');
    expect(rosterLines([1, 2, 3, 4, 5, 6, 7], 7)).toBe(
      'roster:1, roster:2, roster:3, roster:4, roster:5 and 2 more',
    );
    expect(rosterLines([], 9)).toBe('');
  });

  it('keeps a line one line, and a subject ASCII', () => {
    expect(oneLine('a\r\nBcc: x\u2028y\u0000z\u202e ')).toBe('a Bcc: x y z');
    expect(asciiLine('Größe\n– 1')).toBe('Gr??e ? 1');
  });
});
