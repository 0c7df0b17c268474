/** Chance as an argument: 0 <= systemRandom() < 1, for jitter; not for secrets. */
export const systemRandom = (): number => Math.random();
