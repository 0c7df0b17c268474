/** What `npm run crash` sets; without it the suite is sized for CI. */
const given = JSON.parse(process.env.CRASH_OPTIONS ?? '{}') as {
  readonly kills?: number;
  readonly seed?: number;
};

/** Whether every operation is tried in every way. */
export const isThorough = process.env.CRASH_OPTIONS !== undefined;
/** Random kills, all in all; `npm run crash -- --kills 1000` is the long form. */
export const KILLS = given.kills ?? 100;
export const SEED = given.seed ?? 1;
/** Of a test that crashes every operation: minutes, so that only one which hangs fails. */
export const TIMEOUT_MS = isThorough ? 3 * 3_600_000 : 900_000;
