/** Dates of FHIR (date, dateTime, instant) as they are sorted and shown. */

const DATE =
  /^(\d{4})(?:-(\d\d)(?:-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?(Z|[+-]\d\d:\d\d)?)?)?)?$/;
/** year, month, day, minute or finer */
const PRECISIONS = 4;
const YEARS_400_MS = 146_097 * 86_400_000;

/**
 * Where a date stands among others: by the instant at which it begins (UTC where it names no zone), and of those that begin
 * together the less precise first. undefined for what is no date. Milliseconds times 4, plus 0 to 3.
 */
export function dateOrder(text: string | undefined): number | undefined {
  const match = text === undefined ? null : DATE.exec(text);
  if (match === null) return undefined;
  const [, year, month, day, hour, minute, second, fraction, zone] = match;
  const clock = [Number(hour ?? 0), Number(minute ?? 0), Number(second ?? 0)] as const;
  // Years count from 400 on, since Date.UTC takes those below 100 for years of the last century: the calendar is the same.
  const ms = Date.UTC(Number(year) + 400, Number(month ?? 1) - 1, Number(day ?? 1), ...clock) - YEARS_400_MS;
  const fine = fraction === undefined ? 0 : Math.floor(Number(`0.${fraction}`) * 1000);
  const precision = hour !== undefined ? 3 : day !== undefined ? 2 : month !== undefined ? 1 : 0;
  return (ms + fine - offsetMs(zone)) * PRECISIONS + precision;
}

function offsetMs(zone: string | undefined): number {
  if (zone === undefined || zone === 'Z') return 0;
  const minutes = Number(zone.slice(1, 3)) * 60 + Number(zone.slice(4, 6));
  return (zone.startsWith('-') ? -1 : 1) * minutes * 60_000;
}

/** The instant that a place among dates stands for. */
export function msOfOrder(order: number): number {
  return Math.floor(order / PRECISIONS);
}

/** `2011-12-31 09:07 -05:00`: as precise as it was said, but for seconds; a zone that was said stays. */
export function dateText(text: string): string {
  const match = DATE.exec(text);
  if (match === null || match[4] === undefined) return text;
  const [, year, month, day, hour, minute, , , zone] = match;
  const where = zone === undefined ? '' : zone === 'Z' ? ' UTC' : ` ${zone}`;
  return `${year}-${month}-${day} ${hour}:${minute}${where}`;
}
