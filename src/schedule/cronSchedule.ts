import { createTask, validateDetailed } from 'node-cron';

/** What is wrong with a cron expression (five fields, or six with seconds in front), or undefined. */
export function cronProblem(expression: string): string | undefined {
  const { valid, errors } = validateDetailed(expression);
  if (valid) return undefined;
  return errors.map((error) => error.message).join('; ') || 'is no cron expression';
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

/** Calls `due` at each slot until closed. A slot that comes while `due` is still busy is passed over. */
export function startSchedule(
  expression: string,
  timezone: string,
  due: () => Promise<void>,
): { close(): Promise<void> } {
  const task = createTask(expression, due, { timezone, noOverlap: true });
  void task.start();
  return {
    close: async () => {
      await task.destroy();
    },
  };
}
