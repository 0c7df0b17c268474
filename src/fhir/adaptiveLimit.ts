/**
 * What an answer says of its server's load. refused: 429. busy: 503. failed: no answer, or any other 5xx. ok: all else,
 * also a 404: the server has done its work.
 */
export type LoadSign = 'ok' | 'refused' | 'busy' | 'failed';

/** A request under way, as `begin` hands it out and `end` takes it back. */
export interface RequestUnderWay {
  readonly requestNo: number;
  readonly startedAtMs: number;
  /** Requests under way, with this one. */
  readonly atOnce: number;
  /** Whether it was the last one that the limit let in: only then its end says that the limit could be higher. */
  readonly isLast: boolean;
  readonly ceiling: number;
}

/** How many requests a server may be asked at once, learnt from how it answers. Times are of a monotonic clock, in ms. */
export interface AdaptiveLimit {
  /** Whole, 1 or more; it knows no ceiling, but does not grow where a ceiling keeps it from being used. */
  readonly limit: number;
  begin: (atMs: number, ceiling: number) => RequestUnderWay;
  /**
   * `question`: the same object for the repetitions of one request, however many. No sign: the request tells nothing
   * (it was not sent, or was aborted).
   */
  end: (request: RequestUnderWay, atMs: number, sign: LoadSign | undefined, question: object) => void;
}

/** Epic's practice. What may have other causes than load (slowness, 5xx) pulls the limit no lower. */
const USUAL = 5;
const CUT = 0.9;
/** For trouble that goes on in the round trip after a cut. */
const DEEP_CUT = 0.5;
/** Good answers after a cut before the number that was refused is tried again: under 1 % of the answers refuse it. */
const PATIENCE = 300;
/** Answers that a latency is the mean of: enough for types of resources that differ a hundredfold. */
const LATENCIES = 100;
/** Fewer, for the first measure and while the limit doubles: it must not double far beyond what it sees. */
const FIRST_LATENCIES = 20;
const SLOWER = 2;
/** Slower by less than this is the noise of the two machines. */
const NOISE_MS = 25;

/**
 * Additive increase, multiplicative decrease. The limit starts at 5; once 20 answers have shown how quick the server is,
 * it doubles in a round trip until the first trouble, then grows by one in a round trip, while all that it allows is
 * used. It is cut for two recent answers that were refused or busy, for a quarter of the recent answers that failed, and
 * for answers that take twice as long as at the best of times. But for 429, which speaks of who asks and not of what
 * (RFC 6585, 4), a question counts once, however often it is repeated: one that always fails says nothing of load.
 *
 * What began before a cut says nothing of the limit after it, so that there is one cut in a round trip. How many were
 * too many is remembered, approached by one in a round trip, and tried again when PATIENCE good answers have come.
 */
export function createAdaptiveLimit(): AdaptiveLimit {
  let limit = USUAL;
  let isDoubling = true;
  let underWay = 0;
  let begun = 0;
  let ended = 0;
  /** The first request of after the last cut. */
  let firstNo = 0;
  let goodSinceCut = 0;
  /** How many at once were too many. */
  let tooMany = Infinity;
  const counted = new WeakSet<object>();
  let troubles: { readonly sign: LoadSign; readonly endNo: number; readonly atOnce: number }[] = [];
  let bestMs = Infinity;
  let latencies = { sumOfLogs: 0, count: 0 };

  function cut(from: number, atLeast: number): void {
    const goesOn = !isDoubling && goodSinceCut < limit;
    if (!goesOn) tooMany = from;
    limit = Math.min(limit, Math.max(atLeast, Math.floor(from * (goesOn ? DEEP_CUT : CUT))));
    isDoubling = false;
    goodSinceCut = 0;
    firstNo = begun;
    troubles = [];
    latencies = { sumOfLogs: 0, count: 0 };
  }

  function count(sign: LoadSign, atOnce: number, question: object): void {
    if (sign !== 'refused' && counted.has(question)) return;
    counted.add(question);
    troubles = troubles.filter(({ endNo }) => endNo > ended - 2 * Math.max(USUAL, limit));
    troubles.push({ sign, endNo: ended, atOnce });
    const refusals = troubles.filter((one) => one.sign !== 'failed');
    // The higher, for requests overtake each other on their way.
    if (refusals.length >= 2) cut(Math.min(limit, Math.max(...refusals.map((one) => one.atOnce))), 1);
    else if (limit > USUAL && troubles.length >= limit / 2) cut(limit, USUAL);
  }

  function grow({ isLast, ceiling }: RequestUnderWay): void {
    goodSinceCut++;
    if (goodSinceCut >= PATIENCE) tooMany = Infinity;
    // Grown before there is a measure, it would have its own load for one.
    if (!isLast || bestMs === Infinity) return;
    const most = Math.min(ceiling, tooMany - 1);
    limit = Math.max(limit, Math.min(most, limit + (isDoubling ? 1 : 1 / limit)));
  }

  /** The geometric mean: a few slow answers among many fast ones do not move it. */
  function time(latencyMs: number): void {
    latencies.sumOfLogs += Math.log(Math.max(1, latencyMs));
    latencies.count++;
    const isHasty = isDoubling || bestMs === Infinity;
    if (latencies.count < (isHasty ? Math.max(FIRST_LATENCIES, limit) : Math.max(LATENCIES, 2 * limit)))
      return;
    const meanMs = Math.exp(latencies.sumOfLogs / latencies.count);
    latencies = { sumOfLogs: 0, count: 0 };
    // What is slow with few at once is so by itself: that is the measure from then on.
    if (limit <= USUAL) bestMs = meanMs;
    else if (meanMs > SLOWER * bestMs + NOISE_MS) cut(limit, USUAL);
    else bestMs = Math.min(bestMs, meanMs);
  }

  return {
    get limit() {
      return Math.floor(limit);
    },
    begin(atMs, ceiling) {
      underWay++;
      return {
        requestNo: begun++,
        startedAtMs: atMs,
        atOnce: underWay,
        isLast: underWay >= Math.floor(limit),
        ceiling,
      };
    },
    end(request, atMs, sign, question) {
      underWay--;
      if (sign === undefined) return;
      ended++;
      if (request.requestNo < firstNo) return;
      if (sign !== 'ok') return count(sign, request.atOnce, question);
      grow(request);
      time(atMs - request.startedAtMs);
    },
  };
}
