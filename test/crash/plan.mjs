/** What the parent asks of a child that runs with preload.mjs; undefined in any other process. */
export const plan = process.env.CRASH_PLAN === undefined ? undefined : JSON.parse(process.env.CRASH_PLAN);
