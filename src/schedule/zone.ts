/** The clock on the wall of a time zone. Pure, but for what it remembers of the zone's offsets. */
export interface Zone {
  /** What the wall shows at an instant, as the milliseconds that UTC would show the same at. */
  wallAt(instantMs: number): number;
  /** The instants at which the wall shows this: none in spring's gap, two in autumn's repeated hour. */
  instantsOf(wallMs: number): WallInstants;
}

export interface WallInstants {
  /** In order. */
  readonly instants: readonly number[];
  /** Set when there is none: the first instant after the gap, and where the time would be, had the clock gone on. */
  readonly gap: { readonly endMs: number; readonly wouldBeMs: number } | undefined;
}

const SECOND_MS = 1000;
export const DAY_MS = 86_400_000;

/** Where an offset changes, and what it is before and after. */
interface Change {
  readonly atMs: number;
  readonly before: number;
  readonly after: number;
}

/** `timezone` as IANA names it; its rules are those of the Node.js that runs (ICU). */
export function createZone(timezone: string): Zone {
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone: timezone,
    hourCycle: 'h23',
    ...{ year: 'numeric', month: 'numeric', day: 'numeric' },
    ...{ hour: 'numeric', minute: 'numeric', second: 'numeric' },
  });
  const offsetAt = (instantMs: number): number => {
    const whole = Math.floor(instantMs / SECOND_MS) * SECOND_MS;
    const parts: Record<string, number> = {};
    for (const { type, value } of format.formatToParts(whole)) parts[type] = Number(value);
    const { year, month, day, hour, minute, second } = parts;
    return Date.UTC(year!, month! - 1, day, hour, minute, second) - whole;
  };
  // Asking ICU costs more than all else here, so that each day is asked once.
  const offsets = new Map<number, number>();
  const offsetOfDay = (day: number): number => {
    let offset = offsets.get(day);
    if (offset === undefined) {
      offset = offsetAt(day * DAY_MS);
      offsets.set(day, offset);
    }
    return offset;
  };
  const changes = new Map<number, Change>();

  /** The change of offset near a day of the wall, if there is one: no zone has two within three days. */
  const changeNear = (day: number): Change | undefined => {
    const before = offsetOfDay(day - 1);
    const after = offsetOfDay(day + 2);
    if (before === after) return undefined;
    let change = changes.get(day);
    if (change === undefined) {
      let low = (day - 1) * DAY_MS;
      let high = (day + 2) * DAY_MS;
      while (high - low > SECOND_MS) {
        const middle = Math.floor((low + high) / 2 / SECOND_MS) * SECOND_MS;
        if (offsetAt(middle) === before) low = middle;
        else high = middle;
      }
      change = { atMs: high, before, after };
      changes.set(day, change);
    }
    return change;
  };

  return {
    wallAt: (instantMs) => {
      const day = Math.floor(instantMs / DAY_MS);
      const offset = offsetOfDay(day);
      return instantMs + (offset === offsetOfDay(day + 1) ? offset : offsetAt(instantMs));
    },
    instantsOf: (wallMs) => {
      const day = Math.floor(wallMs / DAY_MS);
      const change = changeNear(day);
      if (change === undefined) return { instants: [wallMs - offsetOfDay(day)], gap: undefined };
      const { atMs, before, after } = change;
      const instants = [wallMs - before].filter((at) => at < atMs);
      if (wallMs - after >= atMs) instants.push(wallMs - after);
      const gap = instants.length > 0 ? undefined : { endMs: atMs, wouldBeMs: wallMs - before };
      return { instants, gap };
    },
  };
}
