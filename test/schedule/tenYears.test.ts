import { describe, expect, it } from 'vitest';
import { nextStep, type ScheduleRules } from '../../src/schedule/catchUp.ts';
import { createHours } from '../../src/schedule/hours.ts';
import { createSlots } from '../../src/schedule/slots.ts';

/**
 * Ten years of a daemon's decisions in twenty zones, held against a calendar that is reckoned here from Intl alone,
 * minute by minute where a clock jumps: nothing missed, nothing twice.
 */

const ZONES = [
  'UTC', 'America/New_York', 'America/Chicago', 'America/Denver', 'America/Los_Angeles', 'America/St_Johns',
  'America/Sao_Paulo', 'America/Santiago', 'America/Havana', 'America/Asuncion', 'Europe/Berlin', 'Europe/London',
  'Europe/Dublin', 'Africa/Cairo', 'Africa/Casablanca', 'Asia/Beirut', 'Asia/Tehran', 'Asia/Kathmandu',
  'Australia/Lord_Howe', 'Pacific/Auckland',
]; // prettier-ignore

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
// 2016 to 2025: with the years in which São Paulo, Tehran and Cairo still, or again, changed their clocks.
const FROM = Date.UTC(2016, 0, 1);
const TO = Date.UTC(2026, 0, 1);

/** What the wall shows at an instant, as the milliseconds that UTC would show the same at. */
function wallOf(zone: string): (instantMs: number) => number {
  const format = new Intl.DateTimeFormat('sv-SE', {
    timeZone: zone,
    dateStyle: 'short',
    timeStyle: 'medium',
  });
  return (instantMs) => Date.parse(`${format.format(instantMs).replace(' ', 'T')}Z`);
}

interface Jump {
  readonly atMs: number;
  readonly byMs: number;
  /** The offset from UTC since. */
  readonly toMs: number;
}

/** Each jump of the wall's clock; the first stands for the time before. */
function jumpsOf(zone: string): readonly Jump[] {
  const wall = wallOf(zone);
  let offset = wall(FROM - 2 * DAY) - (FROM - 2 * DAY);
  const jumps = [{ atMs: -Infinity, byMs: 0, toMs: offset }];
  for (let at = FROM - DAY; at < TO + DAY; at += 12 * HOUR) {
    const now = wall(at) - at;
    if (now === offset) continue;
    let instant = at - 12 * HOUR;
    while (wall(instant) - instant === offset) instant += 60_000;
    jumps.push({ atMs: instant, byMs: now - offset, toMs: now });
    offset = now;
  }
  return jumps;
}

const jumps = new Map(ZONES.map((zone) => [zone, jumpsOf(zone)]));

/** When runs are begun by a daemon that asks `nextStep` again at the time it was told. */
function* runsOf(rules: ScheduleRules, fromMs: number, toMs: number, downUntil?: number): Generator<number> {
  let served = fromMs;
  let now = downUntil ?? fromMs;
  while (now < toMs) {
    const step = nextStep(
      {
        nowMs: now,
        servedMs: served,
        hasOpenRun: false,
        unfinished: undefined,
        noticedMs: undefined,
        holdUntilMs: 0,
      },
      rules,
    );
    if (step.do === 'wait') now = step.untilMs ?? toMs;
    else if (step.do === 'run') {
      yield now;
      served = step.slotMs!;
    } else throw new Error(`unexpected ${step.do}`);
  }
}

function rulesOf(cron: string, zone: string, catchUp: 'once' | 'skip' = 'once'): ScheduleRules {
  return {
    slots: createSlots(cron, zone),
    allowedHours: createHours(undefined, zone),
    catchUp,
    retryAfterMs: 0,
  };
}

/** The instants of wall times by another way than the program's: every offset that the zone ever has is tried on each. */
function expectedAt(zone: string, walls: readonly number[]): readonly number[] {
  const ofZone = jumps.get(zone)!;
  const offsetAt = (instantMs: number): number => ofZone.findLast(({ atMs }) => atMs <= instantMs)!.toMs;
  const offsets = [...new Set(ofZone.map(({ toMs }) => toMs))];
  const due = walls.map((wallMs) => {
    const found = offsets.map((offset) => wallMs - offset).filter((at) => at + offsetAt(at) === wallMs);
    if (found.length > 0) return Math.min(...found);
    // The wall never shows it: due when the gap is over.
    return ofZone.find(({ atMs, byMs, toMs }) => atMs + toMs > wallMs && atMs + toMs - byMs <= wallMs)!.atMs;
  });
  return [...new Set(due)].filter((at) => at > FROM && at < TO).sort((a, b) => a - b);
}

function* daysOf(): Generator<{ readonly midnight: number; readonly date: Date }> {
  for (let midnight = FROM - DAY; midnight < TO + DAY; midnight += DAY) {
    yield { midnight, date: new Date(midnight) };
  }
}

const isLastOfMonth31 = (date: Date): boolean => date.getUTCDate() === 31;

/** Fixed hours: the days, and the times of the day in minutes. */
const FIXED: readonly (readonly [cron: string, on: (date: Date) => boolean, seconds: readonly number[]])[] = [
  ['30 2 * * *', () => true, [2.5 * 3600]],
  ['0 0 * * *', () => true, [0]],
  ['15 0 * * *', () => true, [900]],
  ['10 2 * * 0', (date) => date.getUTCDay() === 0, [7_800]],
  ['0 3 31 * *', isLastOfMonth31, [10_800]],
  ['0,30 1,2 * * *', () => true, [3_600, 5_400, 7_200, 9_000]],
  ['20 30 1 * * *', () => true, [5_420]],
];

describe.each(FIXED)('%s', (cron, on, seconds) => {
  it.each(ZONES)('is run once for each appointed time in %s', (zone) => {
    const walls = [...daysOf()]
      .filter(({ date }) => on(date))
      .flatMap(({ midnight }) => seconds.map((second) => midnight + second * 1000));
    const runs = [...runsOf(rulesOf(cron, zone), FROM, TO)];
    expect(runs).toEqual(expectedAt(zone, walls));
  });
});

/** Every hour: elapsed time, so that each step is as long as the one before, but where a jump is no whole number of steps. */
describe.each([
  ['0 * * * *', HOUR],
  ['*/15 * * * *', HOUR / 4],
])('%s', (cron, stepMs) => {
  it.each(ZONES)('goes on by elapsed time in %s', (zone) => {
    const slots = rulesOf(cron, zone);
    for (const { atMs, byMs } of jumps.get(zone)!.slice(1)) {
      if (byMs % stepMs !== 0) continue;
      const runs = [...runsOf(slots, atMs - 6 * HOUR - 1, atMs + 6 * HOUR)];
      const first = runs[0]!;
      expect(runs).toEqual(Array.from({ length: (12 * HOUR) / stepMs }, (_, at) => first + at * stepMs));
    }
  });
});

describe('a daemon that was down', () => {
  it.each(ZONES)('makes up once for all that it missed, and loses nothing after, in %s', (zone) => {
    for (const { atMs } of jumps.get(zone)!.slice(1)) {
      const rules = rulesOf('30 2 * * *', zone);
      const from = atMs - 3 * DAY;
      const back = atMs + 7 * HOUR + 12_345;
      const [first, ...others] = [...runsOf(rules, from, atMs + 4 * DAY, back)];
      expect(first).toBe(back);
      const expected = [...runsOf(rules, from, atMs + 4 * DAY)].filter((at) => at > back);
      expect(others).toEqual(expected);
    }
  });
});
