import { describe, expect, it } from 'vitest';
import { createSlots, type Slots } from '../../src/schedule/slots.ts';

function* between(slots: Slots, fromIso: string, toIso: string): Generator<string> {
  const until = Date.parse(toIso);
  for (let at = slots.after(Date.parse(fromIso), until); at !== undefined; at = slots.after(at, until)) {
    yield new Date(at).toISOString().slice(0, 19);
  }
}

const list = (cron: string, zone: string, from: string, to: string): string[] => [
  ...between(createSlots(cron, zone), `${from}Z`, `${to}Z`),
];

describe('a fixed hour', () => {
  it.each([
    // What falls into the gap is due at the first instant after it.
    ['America/New_York', '30 2 * * *', '2026-03-07T12:00', ['2026-03-08T07:00:00', '2026-03-09T06:30:00']],
    ['Europe/Berlin', '30 2 * * *', '2026-03-28T12:00', ['2026-03-29T01:00:00', '2026-03-30T00:30:00']],
    ['America/Sao_Paulo', '0 0 * * *', '2018-11-03T12:00', ['2018-11-04T03:00:00', '2018-11-05T02:00:00']],
    ['Africa/Cairo', '0 0 * * *', '2024-04-25T12:00', ['2024-04-25T22:00:00', '2024-04-26T21:00:00']],
    ['Asia/Beirut', '0 0 * * *', '2026-03-28T12:00', ['2026-03-28T22:00:00', '2026-03-29T21:00:00']],
    ['Australia/Lord_Howe', '10 2 * * *', '2026-10-03T00:00', ['2026-10-03T15:30:00', '2026-10-04T15:10:00']],
    // Several of one gap are one.
    ['America/New_York', '0,30 2 * * *', '2026-03-08T00:00', ['2026-03-08T07:00:00', '2026-03-09T06:00:00']],
    ['America/New_York', '30 2,3 * * *', '2026-03-08T00:00', ['2026-03-08T07:00:00', '2026-03-08T07:30:00']],
    // Samoa had no 30th of December 2011.
    ['Pacific/Apia', '0 2 * * *', '2011-12-30T00:00', ['2011-12-30T10:00:00', '2011-12-30T12:00:00']],
    // In the repeated hour the first time counts.
    ['America/New_York', '30 1 * * *', '2026-10-31T12:00', ['2026-11-01T05:30:00', '2026-11-02T06:30:00']],
    ['Europe/Berlin', '30 2 * * *', '2026-10-24T12:00', ['2026-10-25T00:30:00', '2026-10-26T01:30:00']],
    ['America/Sao_Paulo', '30 23 * * *', '2018-02-17T12:00', ['2018-02-18T01:30:00', '2018-02-19T02:30:00']],
    ['Australia/Lord_Howe', '45 1 * * *', '2026-04-04T00:00', ['2026-04-04T14:45:00', '2026-04-05T15:15:00']],
  ])('in %s: %s', (zone, cron, from, expected) => {
    const slots = createSlots(cron, zone);
    const first = slots.after(Date.parse(`${from}Z`))!;
    const second = slots.after(first)!;
    expect([first, second].map((at) => new Date(at).toISOString().slice(0, 19))).toEqual(expected);
  });
});

describe('every hour', () => {
  it.each([
    ['through the gap', 'America/New_York', '2026-03-08T05:30', '2026-03-08T09:00', [6, 7, 8, 9]],
    ['twice in the repeated hour', 'America/New_York', '2026-11-01T04:30', '2026-11-01T08:00', [5, 6, 7, 8]],
    ['where the gap is at midnight', 'Africa/Cairo', '2024-04-25T20:30', '2024-04-25T23:00', [21, 22, 23]],
  ])('counts elapsed time %s', (_, zone, from, to, hours) => {
    expect(list('0 * * * *', zone, from, to).map((at) => Number(at.slice(11, 13)))).toEqual(hours);
  });

  it('runs each quarter of an hour by elapsed time all year', () => {
    for (const zone of ['Europe/Berlin', 'America/New_York', 'Asia/Beirut']) {
      expect(list('*/15 * * * *', zone, '2026-01-01T00:00', '2027-01-01T00:00')).toHaveLength(365 * 96);
    }
  });

  it('does so where the clock jumps by half an hour', () => {
    expect(list('0 * * * *', 'Australia/Lord_Howe', '2026-10-03T14:00', '2026-10-03T17:00')).toEqual([
      '2026-10-03T14:30:00',
      '2026-10-03T15:30:00',
      '2026-10-03T16:00:00',
      '2026-10-03T17:00:00',
    ]);
  });
});

describe('the calendar', () => {
  it.each([
    ['0 2 31 * *', '2026-01-31T12:00', ['2026-03-31T02:00:00', '2026-05-31T02:00:00']],
    ['0 2 29 2 *', '2026-01-01T00:00', ['2028-02-29T02:00:00', '2032-02-29T02:00:00']],
    ['0 2 * * 7', '2026-11-20T00:00', ['2026-11-22T02:00:00', '2026-11-29T02:00:00']],
    ['0 2 * * mon-fri', '2026-11-20T12:00', ['2026-11-23T02:00:00', '2026-11-24T02:00:00']],
    ['0 2 L * *', '2026-02-01T00:00', ['2026-02-28T02:00:00', '2026-03-31T02:00:00']],
    ['0 2 * * 5#2', '2026-11-20T00:00', ['2026-12-11T02:00:00', '2027-01-08T02:00:00']],
    ['30 0 2 * * *', '2026-11-20T00:00', ['2026-11-20T02:00:30', '2026-11-21T02:00:30']],
    ['0 22-1 * * *', '2026-11-20T22:30', ['2026-11-20T23:00:00', '2026-11-21T00:00:00']],
    ['@daily', '2026-11-20T12:00', ['2026-11-21T00:00:00', '2026-11-22T00:00:00']],
  ])('%s', (cron, from, expected) => {
    const slots = createSlots(cron, 'UTC');
    const first = slots.after(Date.parse(`${from}Z`))!;
    expect([first, slots.after(first)!].map((at) => new Date(at).toISOString().slice(0, 19))).toEqual(
      expected,
    );
  });

  it('finds nothing where there is nothing', () => {
    const slots = createSlots('0 2 29 2 *', 'UTC');
    const [from, to] = [Date.parse('2024-03-01T00:00Z'), Date.parse('2028-02-29T01:59Z')];
    expect(slots.after(from, to)).toBeUndefined();
    expect(slots.newest(from, to)).toBeUndefined();
  });
});

it('finds the newest of many missed slots at once, however long ago the first was', () => {
  const slots = createSlots('* * * * * *', 'Europe/Berlin');
  const now = Date.parse('2026-11-20T12:00:00.400Z');
  expect(slots.newest(0, now)).toBe(now - 400);
  expect(slots.newest(now - 400, now)).toBeUndefined();
});
