import { parseCron } from './cronSchedule.ts';
import { createZone, DAY_MS, type Zone } from './zone.ts';

/**
 * The slots of a schedule: the instants at which a run is due.
 *
 * node-cron says what an expression means; where the clock on the wall jumps, its own reckoning loses slots (4.6:
 * the spring gap is skipped, and so is the second pass of autumn's repeated hour), so that is decided here, as
 * cron has done since Vixie's:
 * - At a fixed hour, what falls into the gap is due once, at the first instant after it; in the repeated hour it is
 *   due the first time only.
 * - With every hour of the day (`*` as the hour), elapsed time counts: all goes on through the gap as if there were
 *   none, and the repeated hour has its slots twice.
 */
export interface Slots {
  /** The first slot after an instant; undefined when there is none up to `untilMs` (default: nine years on). */
  after(instantMs: number, untilMs?: number): number | undefined;
  /** The newest slot after one instant and not after another. */
  newest(afterMs: number, untilMs: number): number | undefined;
}

/** The 29th of February can be eight years away. */
const HORIZON_MS = 9 * 366 * DAY_MS;
/** Days whose slots are remembered: those that a daemon looks at. */
const REMEMBERED_DAYS = 4;

/** Throws what `parseCron` and `createZone` throw: the configuration has been checked for both. */
export function createSlots(expression: string, timezone: string): Slots {
  const cron = parseCron(expression);
  const zone = createZone(timezone);
  const isHourly = cron.hours.length === 24;
  const times = cron.hours.flatMap((hour) =>
    cron.minutes.flatMap((minute) =>
      cron.seconds.map((second) => ((hour * 60 + minute) * 60 + second) * 1000),
    ),
  );
  const remembered = new Map<number, readonly number[]>();

  const ofDay = (day: number): readonly number[] => {
    let slots = remembered.get(day);
    if (slots === undefined) {
      slots = cron.matchesDay(day * DAY_MS) ? slotsOfDay(day * DAY_MS, times, zone, isHourly) : [];
      remembered.set(day, slots);
      if (remembered.size > REMEMBERED_DAYS) remembered.delete(remembered.keys().next().value!);
    }
    return slots;
  };
  const dayOf = (instantMs: number): number => Math.floor(zone.wallAt(instantMs) / DAY_MS);

  return {
    after: (instantMs, untilMs = instantMs + HORIZON_MS) => {
      const last = dayOf(untilMs);
      for (let day = dayOf(instantMs); day <= last; day++) {
        const slot = ofDay(day).find((at) => at > instantMs);
        if (slot !== undefined) return slot <= untilMs ? slot : undefined;
      }
      return undefined;
    },
    newest: (afterMs, untilMs) => {
      const first = dayOf(afterMs);
      for (let day = dayOf(untilMs); day >= first; day--) {
        const slot = ofDay(day).findLast((at) => at <= untilMs);
        if (slot !== undefined) return slot > afterMs ? slot : undefined;
      }
      return undefined;
    },
  };
}

function slotsOfDay(
  wallMidnightMs: number,
  times: readonly number[],
  zone: Zone,
  isHourly: boolean,
): readonly number[] {
  const slots = new Set<number>();
  for (const time of times) {
    const { instants, gap } = zone.instantsOf(wallMidnightMs + time);
    if (gap) slots.add(isHourly ? gap.wouldBeMs : gap.endMs);
    else for (const instant of isHourly ? instants : instants.slice(0, 1)) slots.add(instant);
  }
  return [...slots].sort((a, b) => a - b);
}
