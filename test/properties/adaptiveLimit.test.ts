import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createAdaptiveLimit, type LoadSign } from '../../src/fhir/adaptiveLimit.ts';

interface SimulatedServer {
  readonly ceiling: number;
  /** More at once than this are refused. */
  readonly hiddenLimit?: number;
  readonly answers: number;
  /** How long an answer takes, when so many are at the server. */
  readonly latencyMs: (inside: number) => number;
  /** What a question is answered, however often it is asked. */
  readonly poison?: (questionNo: number) => LoadSign | undefined;
}

interface Question {
  readonly poison: LoadSign | undefined;
}

const REFUSED_MS = 1;
const POISON_ATTEMPTS = 100;

/** Asks as many at once as the limit lets, in virtual time; what is not ok is asked again at once. */
function simulate({ ceiling, hiddenLimit = Infinity, answers, latencyMs, poison }: SimulatedServer) {
  const adaptive = createAdaptiveLimit();
  const repeated: Question[] = [];
  const attempts = new Map<Question, number>();
  const underWay: { readonly endsAtMs: number; readonly end: () => void }[] = [];
  const late = { begun: 0, refused: 0, atOnce: 0, ms: 0 };
  let nowMs = 0;
  let questions = 0;
  let served = 0;
  let inside = 0;
  let most = 0;
  const limits: number[] = [];

  const ask = (): void => {
    const question = repeated.shift() ?? { poison: poison?.(questions++) };
    const request = adaptive.begin(nowMs, ceiling);
    const isLate = served > answers / 2;
    const isRefused = inside >= hiddenLimit;
    if (isLate) late.begun++;
    if (isLate && isRefused) late.refused++;
    if (!isRefused) inside++;
    const endsAtMs = nowMs + (isRefused ? REFUSED_MS : latencyMs(inside));
    const end = (): void => {
      if (!isRefused) inside--;
      const sign = question.poison ?? (isRefused ? 'refused' : 'ok');
      adaptive.end(request, nowMs, sign, question);
      const attempt = (attempts.get(question) ?? 0) + 1;
      attempts.set(question, attempt);
      if (sign === 'ok') served++;
      else if (attempt < POISON_ATTEMPTS) repeated.push(question);
    };
    underWay.push({ endsAtMs, end });
  };

  while (served < answers) {
    while (underWay.length < Math.min(ceiling, adaptive.limit)) ask();
    most = Math.max(most, underWay.length);
    limits.push(adaptive.limit);
    const next = underWay.reduce((first, one) => (one.endsAtMs < first.endsAtMs ? one : first));
    underWay.splice(underWay.indexOf(next), 1);
    if (served > answers / 2) {
      late.atOnce += inside * (next.endsAtMs - nowMs);
      late.ms += next.endsAtMs - nowMs;
    }
    nowMs = next.endsAtMs;
    next.end();
  }
  return { meanAtOnce: late.atOnce / late.ms, refusedShare: late.refused / late.begun, most, limits };
}

/** Latencies between (1 - jitter) and (1 + jitter) times the usual one, by a generator with a seed. */
function jittered(seed: number, usualMs: number, jitter: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return usualMs * (1 + jitter * ((2 * state) / 2 ** 32 - 1));
  };
}

const arbitrary = {
  seed: fc.nat(),
  usualMs: fc.integer({ min: 5, max: 3_000 }),
  // What varies more can look slow by chance: once in some thousand runs that costs a cut.
  jitter: fc.double({ min: 0, max: 0.6, noNaN: true }),
};

describe('the number of requests at once', () => {
  it('comes within 20 % of a server’s hidden limit, with less than 2 % refused', () => {
    fc.assert(
      fc.property(
        fc.record({ ...arbitrary, hiddenLimit: fc.integer({ min: 3, max: 60 }) }),
        ({ seed, usualMs, jitter, hiddenLimit }) => {
          const latencyMs = jittered(seed, usualMs, jitter);
          const seen = simulate({ ceiling: 64, hiddenLimit, answers: 6_000, latencyMs });
          expect(seen.meanAtOnce / hiddenLimit).toBeGreaterThan(0.8);
          expect(seen.meanAtOnce / hiddenLimit).toBeLessThan(1.2);
          expect(seen.refusedShare).toBeLessThan(0.02);
        },
      ),
    );
  });

  it('comes to the ceiling of a healthy server, and never above it', () => {
    fc.assert(
      fc.property(
        fc.record({ ...arbitrary, ceiling: fc.integer({ min: 1, max: 64 }) }),
        ({ seed, usualMs, jitter, ceiling }) => {
          const seen = simulate({ ceiling, answers: 6_000, latencyMs: jittered(seed, usualMs, jitter) });
          expect(seen.most).toBe(ceiling);
          expect(seen.meanAtOnce).toBeGreaterThan(0.8 * ceiling);
        },
      ),
    );
  });

  it('does not run away from a server that gets slower the more it is asked', () => {
    fc.assert(
      fc.property(
        fc.record({ ...arbitrary, atOnce: fc.integer({ min: 5, max: 20 }) }),
        ({ seed, jitter, atOnce }) => {
          const answer = jittered(seed, 200, jitter);
          const latencyMs = (inside: number): number => answer() * Math.max(1, inside / atOnce);
          const seen = simulate({ ceiling: 64, answers: 6_000, latencyMs });
          expect(seen.meanAtOnce).toBeLessThan(3 * atOnce);
        },
      ),
    );
  });

  it('is not lowered by one question that is answered badly again and again', () => {
    fc.assert(
      fc.property(
        fc.constantFrom<LoadSign>('busy', 'failed'),
        fc.nat({ max: 1_000 }),
        fc.integer({ min: 1, max: 64 }),
        (sign, poisonNo, ceiling) => {
          const poison = (questionNo: number) => (questionNo === poisonNo ? sign : undefined);
          const { limits } = simulate({ ceiling, answers: 3_000, latencyMs: () => 100, poison });
          expect(limits).toEqual(limits.toSorted((a, b) => a - b));
        },
      ),
    );
  });

  it('is cut for a server that breaks down, to no less than 5, and once in a round trip', () => {
    fc.assert(
      fc.property(fc.integer({ min: 6, max: 64 }), (ceiling) => {
        const adaptive = createAdaptiveLimit();
        const grown = (): number => Math.min(ceiling, adaptive.limit);
        while (adaptive.limit < ceiling) {
          const round = Array.from({ length: grown() }, () => adaptive.begin(0, ceiling));
          for (const request of round) adaptive.end(request, 100, 'ok', {});
        }
        let before = adaptive.limit;
        for (let roundTrip = 0; roundTrip < 10; roundTrip++) {
          const round = Array.from({ length: before }, () => adaptive.begin(0, ceiling));
          for (const request of round) adaptive.end(request, 100, 'failed', {});
          expect(adaptive.limit).toBeGreaterThanOrEqual(Math.max(5, Math.floor(before / 2)));
          before = adaptive.limit;
        }
        expect(before).toBe(5);
      }),
    );
  });

  it('does not grow by what it does not let in', () => {
    const adaptive = createAdaptiveLimit();
    for (let answers = 0; answers < 1_000; answers++) {
      const round = Array.from({ length: 4 }, () => adaptive.begin(0, 64));
      for (const request of round) adaptive.end(request, 100, 'ok', {});
    }
    expect(adaptive.limit).toBe(5);
  });
});
