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

/** Rings at each slot that node-cron knows, until closed. */
export function startTicks(expression: string, timezone: string, ring: () => void): { close(): void } {
  // What it finds it has missed is found by who is rung for, from the ledger.
  const task = createTask(expression, ring, { timezone, suppressMissedWarning: true });
  void task.start();
  return { close: () => void task.destroy() };
}
