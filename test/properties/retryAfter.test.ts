import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { backoffMs, parseRateLimit, parseRetryAfter, RETRY_AFTER_CAP_MS } from '../../src/system/retry.ts';

const NOW = Date.UTC(2026, 10, 22, 2);

describe('Retry-After', () => {
  it('is never below nothing nor above the cap, whatever a server writes', () => {
    const odd = fc.constantFrom('-1', '1e9', 'NaN', 'Infinity', '0x10', '99999999999999999999', 'Wed', '٣');
    fc.assert(
      fc.property(fc.oneof(fc.string(), odd, fc.integer().map(String)), (header) => {
        const ms = parseRetryAfter(header, NOW);
        if (ms === undefined) return;
        expect(ms).toBeGreaterThanOrEqual(0);
        expect(ms).toBeLessThanOrEqual(RETRY_AFTER_CAP_MS);
      }),
    );
  });

  it('in seconds, as a date and as epoch seconds means the same wait', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: RETRY_AFTER_CAP_MS / 1000 }), (seconds) => {
        const at = NOW + seconds * 1000;
        expect(parseRetryAfter(String(seconds), NOW)).toBe(seconds * 1000);
        expect(parseRetryAfter(new Date(at).toUTCString(), NOW)).toBe(seconds * 1000);
        expect(parseRetryAfter(String(at / 1000), NOW)).toBe(seconds * 1000);
      }),
    );
  });

  it('by RateLimit is the window’s rest, and nothing while requests remain', () => {
    fc.assert(
      fc.property(fc.nat({ max: 5 }), fc.nat({ max: 5_000 }), (remaining, seconds) => {
        const expected = remaining === 0 ? Math.min(RETRY_AFTER_CAP_MS, seconds * 1000) : undefined;
        expect(parseRateLimit({ ratelimit: `"default";r=${remaining};t=${seconds}` })).toBe(expected);
        expect(
          parseRateLimit({ 'ratelimit-remaining': String(remaining), 'ratelimit-reset': String(seconds) }),
        ).toBe(expected);
      }),
    );
  });

  it('lets backoff grow to its cap, and never past it', () => {
    fc.assert(
      fc.property(
        fc.nat({ max: 2_000 }),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (attempt, drawn) => {
          const ms = backoffMs(attempt, { baseMs: 500, capMs: 60_000, random: () => drawn });
          expect(ms).toBeGreaterThanOrEqual(0);
          expect(ms).toBeLessThanOrEqual(Math.min(60_000, 500 * 2 ** Math.min(attempt, 30)));
        },
      ),
    );
  });
});
