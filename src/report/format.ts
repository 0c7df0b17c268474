/** How a report writes numbers, sizes, spans and instants. Pure; English. */

const NUMBER = new Intl.NumberFormat('en');

/** `8,849` */
export function count(n: number): string {
  return NUMBER.format(n);
}

/** `1 patient`, `2,400 searches`. */
export function countOf(n: number, one: string, many: string = `${one}s`): string {
  return `${count(n)} ${n === 1 ? one : many}`;
}

/** `2,400 searches` of a crawl, `190 files` of a bulk export: what a run is made of. */
export function unitsOf(n: number, method: 'crawl' | 'bulk'): string {
  return method === 'bulk' ? countOf(n, 'file') : countOf(n, 'search', 'searches');
}

const SIZE_UNITS = ['B', 'kB', 'MB', 'GB', 'TB'];

/** Decimal units (1 kB = 1000 B), three digits: `0 B`, `1.2 MB`, `345 GB`. */
export function byteSize(bytes: number): string {
  let size = bytes;
  let unit = 0;
  // 999.5 and not 1000: what would be written as 1000 kB is written as 1.0 MB.
  while (size >= 999.5 && unit < SIZE_UNITS.length - 1) {
    size /= 1000;
    unit++;
  }
  const digits = unit === 0 || size >= 99.95 ? 0 : 1;
  return `${size.toFixed(digits)} ${SIZE_UNITS[unit]}`;
}

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** A duration in ms in its two largest units: `0.8 s`, `12 s`, `3 min 12 s`, `1 h 04 min`, `2 d 3 h`. */
export function duration(ms: number): string {
  if (ms < 9.95 * SECOND) return `${(Math.max(0, ms) / SECOND).toFixed(1)} s`;
  const seconds = Math.round(ms / SECOND);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${String(seconds % 60).padStart(2, '0')} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours} h ${String(minutes % 60).padStart(2, '0')} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** An age in ms in its largest unit, rounded down: `less than a minute`, `5 hours`, `2 days`. */
export function age(ms: number): string {
  if (ms < MINUTE) return 'less than a minute';
  if (ms < HOUR) return countOf(Math.floor(ms / MINUTE), 'minute');
  if (ms < 2 * DAY) return countOf(Math.floor(ms / HOUR), 'hour');
  return countOf(Math.floor(ms / DAY), 'day');
}

/** `Sun 22 Nov 2026, 03:00:00 +01:00 (Europe/Berlin)`: the zone's own time, its offset then, and its name. */
export function instant(ms: number, timezone: string): string {
  const format = new Intl.DateTimeFormat('en-GB', {
    timeZone: timezone,
    hourCycle: 'h23',
    weekday: 'short',
    day: 'numeric',
    month: 'short',
    year: 'numeric',
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
    timeZoneName: 'longOffset',
  });
  const parts = new Map(format.formatToParts(ms).map((part) => [part.type, part.value]));
  const part = (type: Intl.DateTimeFormatPartTypes) => parts.get(type) ?? '';
  // 'longOffset' is `GMT+01:00`, and plain `GMT` at no offset.
  const offset = part('timeZoneName').replace(/^GMT/, '') || '+00:00';
  // Some ICU versions write Sept for September in en-GB.
  const month = part('month').slice(0, 3);
  const day = `${part('weekday')} ${part('day')} ${month} ${part('year')}`;
  return `${day}, ${part('hour')}:${part('minute')}:${part('second')} ${offset} (${timezone})`;
}

/** `22 Nov 2026`, in the zone. */
export function dayOf(ms: number, timezone: string): string {
  const date = instant(ms, timezone);
  return date.slice(date.indexOf(' ') + 1, date.indexOf(','));
}

/** Whole days until then, begun ones counted; 0 or less when it is past. */
export function daysUntil(thenMs: number, nowMs: number): number {
  return Math.ceil((thenMs - nowMs) / DAY);
}

/** Against what is usual, in whole per cent: `+3%`, `-45%`, `=`, `new` (usually none), `-` (nothing is usual yet). */
export function percentChange(now: number, usual: number | undefined): string {
  if (usual === undefined) return '-';
  if (usual === 0) return now === 0 ? '=' : 'new';
  const percent = Math.round(100 * (now / usual - 1));
  if (percent === 0) return '=';
  return `${percent > 0 ? '+' : ''}${count(percent)}%`;
}

/** Records now against then: `+12`, `-3`, `=`, `new` (then had none), `-` (there is no then). */
export function change(now: number, before: number | undefined, hasPrevious: boolean): string {
  if (!hasPrevious) return '-';
  if (before === undefined) return 'new';
  if (now === before) return '=';
  return now > before ? `+${count(now - before)}` : `-${count(before - now)}`;
}

/** How many roster lines a report names of one cause. */
const LINES_SHOWN = 5;

/** `roster:118, roster:240 and 12 more`; empty for units that belong to no patient. */
export function rosterLines(lines: readonly number[], searches: number): string {
  const shown = lines.slice(0, LINES_SHOWN);
  if (shown.length === 0) return '';
  const more = Math.max(searches, lines.length) - shown.length;
  const names = shown.map((line) => `roster:${line}`).join(', ');
  return more > 0 ? `${names} and ${count(more)} more` : names;
}

/** One line of printable text: what could break a line, a header or a terminal becomes a space. */
export function oneLine(text: string): string {
  return text.replace(/[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]+/gu, ' ').trim();
}

/** An error code as words: `TOKEN_REFUSED` is `token refused`. */
export function codeWords(code: string): string {
  const words = oneLine(code).toLowerCase().split('_');
  return words.map((word) => (ABBREVIATIONS.has(word) ? word.toUpperCase() : word)).join(' ');
}

const ABBREVIATIONS: ReadonlySet<string> = new Set(['fhir', 'http', 'tls', 'mrn', 'csv', 'ini']);

/** A mail's subject: one line of ASCII, so that no server or client needs to decode it. */
export function asciiLine(text: string): string {
  return oneLine(text).replace(/[^\x20-\x7e]/g, '?');
}
