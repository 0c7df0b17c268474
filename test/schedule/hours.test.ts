import { describe, expect, it } from 'vitest';
import { createHours } from '../../src/schedule/hours.ts';

const at = (text: string): number => Date.parse(`${text}Z`);

describe('hours of the day', () => {
  it.each([
    // hours, zone, now, open, next change
    ['19:00-07:00', 'UTC', '2026-11-20T19:00', true, '2026-11-21T07:00'],
    ['19:00-07:00', 'UTC', '2026-11-20T18:59:59.999', false, '2026-11-20T19:00'],
    ['19:00-07:00', 'UTC', '2026-11-21T06:59:59.999', true, '2026-11-21T07:00'],
    ['19:00-07:00', 'UTC', '2026-11-21T07:00', false, '2026-11-21T19:00'],
    ['01:00-02:00, 12:00-13:00', 'UTC', '2026-11-21T02:30', false, '2026-11-21T12:00'],
    ['20:00-24:00, 00:00-06:00', 'UTC', '2026-11-21T23:00', true, '2026-11-22T06:00'],
    ['19:00-07:00', 'America/Chicago', '2026-07-01T11:30', true, '2026-07-01T12:00'],
    // The hour that spring leaves out, and the one that autumn repeats.
    ['22:00-02:30', 'America/New_York', '2026-03-08T06:59', true, '2026-03-08T07:00'],
    ['02:00-03:00', 'America/New_York', '2026-03-08T06:59', false, '2026-03-09T06:00'],
    ['01:00-02:00', 'America/New_York', '2026-11-01T05:00', true, '2026-11-01T07:00'],
  ])('%s in %s at %s', (hours, zone, now, isOpen, change) => {
    const found = createHours(hours, zone);
    expect(found.isOpen(at(now))).toBe(isOpen);
    expect(new Date(found.nextChange(at(now))!).toISOString().slice(0, 16)).toBe(change);
  });

  it('are open for ever where none are given, or where they are the whole day', () => {
    for (const text of [undefined, '00:00-24:00']) {
      const hours = createHours(text, 'UTC');
      expect(hours.isOpen(at('2026-11-20T12:00'))).toBe(true);
      expect(hours.nextChange(at('2026-11-20T12:00'))).toBeUndefined();
    }
  });
});
