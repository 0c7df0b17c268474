import { beforeAll, describe, expect, it } from 'vitest';
import {
  backoffMs,
  parseHttpDate,
  parseRateLimit,
  parseRetryAfter,
  RETRY_AFTER_CAP_MS,
} from '../../src/system/retry.ts';

const NOW = Date.UTC(2026, 10, 22, 2, 0, 0);

describe('backoffMs', () => {
  it('lies between 0 and the doubling bound, which is capped', () => {
    const most = (attempt: number): number =>
      backoffMs(attempt, { baseMs: 500, capMs: 60_000, random: () => 1 });
    expect([0, 1, 2, 3].map(most)).toEqual([500, 1_000, 2_000, 4_000]);
    expect(most(7)).toBe(60_000);
    expect(most(10_000)).toBe(60_000);
    expect(backoffMs(5, { baseMs: 500, capMs: 60_000, random: () => 0 })).toBe(0);
  });
});

describe('parseRetryAfter', () => {
  beforeAll(() => {
    // A date without a zone is GMT wherever this runs.
    process.env['TZ'] = 'America/Chicago';
  });

  it.each([
    ['120', 120_000],
    [' 7 ', 7_000],
    ['1.5', 1_500],
    ['0', 0],
    ['-30', 0],
    ['Sun, 22 Nov 2026 02:00:30 GMT', 30_000],
    ['Sunday, 22-Nov-26 02:00:30 GMT', 30_000],
    ['Sun Nov 22 02:00:30 2026', 30_000],
    ['Sun, 22 Nov 2026 01:00:00 GMT', 0],
    [String(NOW / 1000 + 40), 40_000],
    ['86400', RETRY_AFTER_CAP_MS],
    ['99999999999999999999', RETRY_AFTER_CAP_MS],
  ])('reads %j', (header, ms) => {
    expect(parseRetryAfter(header, NOW)).toBe(ms);
  });

  it.each([
    [undefined],
    [''],
    ['  '],
    ['soon'],
    ['in 30 seconds'],
    ['2027-01'],
    ['12abc'],
    ['Sun, 99 Foo 2026'],
  ])('leaves %j alone', (header) => {
    expect(parseRetryAfter(header, NOW)).toBeUndefined();
  });

  it('is capped where it is told', () => {
    expect(parseRetryAfter('120', NOW, 5_000)).toBe(5_000);
  });
});

describe('parseRateLimit', () => {
  it.each([
    [{ ratelimit: '"default";r=0;t=20' }, 20_000],
    [{ ratelimit: 'limit=10, remaining=0, reset=7' }, 7_000],
    [{ 'ratelimit-remaining': '0', 'ratelimit-reset': '3' }, 3_000],
    [{ ratelimit: 'r=0;t=99999' }, RETRY_AFTER_CAP_MS],
    [{ ratelimit: '"default";r=5;t=20' }, undefined],
    [{ 'ratelimit-remaining': '4', 'ratelimit-reset': '3' }, undefined],
    [{ 'ratelimit-remaining': '0' }, undefined],
    [{ 'ratelimit-remaining': '0', 'ratelimit-reset': 'later' }, undefined],
    [{}, undefined],
  ] as readonly (readonly [Record<string, string>, number | undefined])[])('reads %j', (headers, ms) => {
    expect(parseRateLimit(headers)).toBe(ms);
  });
});

describe('parseHttpDate', () => {
  it.each(['Sun, 22 Nov 2026 02:00:00 GMT', 'Sunday, 22-Nov-26 02:00:00 GMT', 'Sun Nov 22 02:00:00 2026'])(
    'reads %j',
    (text) => {
      expect(parseHttpDate(text)).toBe(NOW);
    },
  );

  it.each(['', '0', '-1', '2026', '2026-11-22T02:00:00Z', 'never', 'Sun, 99 Nov 2026 02:00:00 GMT'])(
    'makes nothing of %j',
    (text) => {
      expect(parseHttpDate(text)).toBeUndefined();
    },
  );
});
