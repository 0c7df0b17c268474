import { createTask, parse, validateDetailed } from 'node-cron';

/** What is wrong with a cron expression (five fields, or six with seconds in front), or undefined. */
export function cronProblem(expression: string): string | undefined {
  const { valid, errors } = validateDetailed(expression);
  if (valid) return undefined;
  return errors.map((error) => error.message).join('; ') || 'is no cron expression';
}

/** What an expression means, as node-cron reads it. */
export interface Cron {
  readonly seconds: readonly number[];
  readonly minutes: readonly number[];
  readonly hours: readonly number[];
  /** Whether the expression names a day of the calendar, given as its midnight in UTC. Day and weekday both count. */
  matchesDay(midnightMs: number): boolean;
}

/** Throws on an expression that `cronProblem` refuses. */
export function parseCron(expression: string): Cron {
  const { second, minute, hour, dayOfMonth, month, dayOfWeek } = parse(expression);
  const isPlain = [...dayOfMonth, ...dayOfWeek].every((value) => typeof value === 'number');
  const matchesPlain = (midnightMs: number): boolean => {
    const day = new Date(midnightMs);
    return dayOfMonth.includes(day.getUTCDate()) && dayOfWeek.includes(day.getUTCDay());
  };
  // The last day, the nearest weekday, the second Friday ...: those are node-cron's to judge, and slower.
  const days = createTask(`0 0 0 ${dayOfMonth.join()} * ${dayOfWeek.join()}`, () => undefined, {
    timezone: 'UTC',
  });
  return {
    seconds: second,
    minutes: minute,
    hours: hour,
    matchesDay: (midnightMs) => {
      const day = new Date(midnightMs);
      if (!month.includes(day.getUTCMonth() + 1)) return false;
      return isPlain ? matchesPlain(midnightMs) : days.match(day);
    },
  };
}

/** The next time (ms since 1970, UTC) that `expression` names in `timezone`, by node-cron's own reckoning. */
export function nextRunAt(expression: string, timezone: string): number | undefined {
  const task = createTask(expression, () => undefined, { timezone });
  try {
    return task.getNextRuns(1)[0]?.getTime();
  } finally {
    void task.destroy();
  }
}

const MINUTE_MS = 60_000;

/** The first slot after `afterMs` and not after `untilMs`, to the minute; undefined when there is none. */
export function firstSlotAfter(
  expression: string,
  timezone: string,
  afterMs: number,
  untilMs: number,
): number | undefined {
  const fields = expression.trim().split(/\s+/);
  // Seconds do not matter to who asks whether a run is overdue.
  const task = createTask(fields.slice(-5).join(' '), () => undefined, { timezone });
  try {
    for (let at = (Math.floor(afterMs / MINUTE_MS) + 1) * MINUTE_MS; at <= untilMs; at += MINUTE_MS) {
      if (task.match(new Date(at))) return at;
    }
    return undefined;
  } finally {
    void task.destroy();
  }
}

/** Rings at each slot that node-cron knows, until closed. */
export function startTicks(expression: string, timezone: string, ring: () => void): { close(): void } {
  // What it finds it has missed is found by who is rung for, from the ledger.
  const task = createTask(expression, ring, { timezone, suppressMissedWarning: true });
  void task.start();
  return { close: () => void task.destroy() };
}
