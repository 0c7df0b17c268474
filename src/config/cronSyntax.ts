const MONTHS = 'january february march april may june july august september october november december'.split(
  ' ',
);
const DAYS = 'sunday monday tuesday wednesday thursday friday saturday'.split(' ');

interface Field {
  readonly name: string;
  readonly min: number;
  readonly max: number;
  readonly words?: readonly string[];
}

const FIELDS: readonly Field[] = [
  { name: 'second', min: 0, max: 59 },
  { name: 'minute', min: 0, max: 59 },
  { name: 'hour', min: 0, max: 23 },
  { name: 'day', min: 1, max: 31 },
  { name: 'month', min: 1, max: 12, words: MONTHS },
  { name: 'weekday', min: 0, max: 7, words: DAYS },
];

/** What is wrong with a cron expression of five fields (six with seconds), or undefined. Syntax only. */
export function cronProblem(text: string): string | undefined {
  const parts = text.trim().split(/\s+/);
  if (parts.length !== 5 && parts.length !== 6) {
    return `has ${parts.length} fields; write five: minute hour day month weekday, such as 0 2 * * *`;
  }
  const fields = parts.length === 6 ? FIELDS : FIELDS.slice(1);
  for (const [index, field] of fields.entries()) {
    for (const item of parts[index]!.split(',')) {
      if (!isItem(item, field))
        return `has "${item}" as ${field.name}; write * or ${field.min} to ${field.max}`;
    }
  }
  return undefined;
}

function isItem(item: string, field: Field): boolean {
  const match = /^(\*|\w+)(?:-(\w+))?(?:\/(\d+))?$/.exec(item);
  if (match === null) return false;
  const [, from, to, step] = match;
  if (step !== undefined && Number(step) < 1) return false;
  if (from === '*') return to === undefined;
  const first = fieldValue(from!, field);
  if (first === undefined) return false;
  if (to === undefined) return true;
  const last = fieldValue(to, field);
  return last !== undefined && first <= last;
}

function fieldValue(text: string, { min, max, words }: Field): number | undefined {
  const lower = text.toLowerCase();
  const word = words?.findIndex((full) => full === lower || full.slice(0, 3) === lower) ?? -1;
  if (word >= 0) return word + min;
  const value = /^\d{1,2}$/.test(text) ? Number(text) : NaN;
  return value >= min && value <= max ? value : undefined;
}
