import { isInHours, parseHours } from '../system/dayHours.ts';
import { createZone, DAY_MS } from './zone.ts';

/** Hours of the day that repeat, such as those in which requests are allowed. Their edges are whole minutes. */
export interface Hours {
  isOpen(nowMs: number): boolean;
  /** The next instant at which `isOpen` changes; undefined when it never does. */
  nextChange(nowMs: number): number | undefined;
}

const MINUTE_MS = 60_000;
/** The hours repeat each day, and a clock that jumps over them does so once. */
const HORIZON_MS = 3 * DAY_MS;

/** `text` as in the INI (`19:00-07:00`), by the clock of a time zone. Undefined: always open. */
export function createHours(text: string | undefined, timezone: string): Hours {
  const ranges = text === undefined ? undefined : parseHours(text);
  if (ranges === undefined) return { isOpen: () => true, nextChange: () => undefined };
  const zone = createZone(timezone);
  const isOpen = (nowMs: number): boolean => {
    const wall = zone.wallAt(nowMs);
    return isInHours(ranges, Math.floor((wall - Math.floor(wall / DAY_MS) * DAY_MS) / MINUTE_MS));
  };
  return {
    isOpen,
    nextChange: (nowMs) => {
      const now = isOpen(nowMs);
      let at = (Math.floor(nowMs / MINUTE_MS) + 1) * MINUTE_MS;
      for (const until = nowMs + HORIZON_MS; at <= until; at += MINUTE_MS) if (isOpen(at) !== now) return at;
      return undefined;
    },
  };
}
