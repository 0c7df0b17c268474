/** The sandbox's memory of what it was asked: for tests and people, on loopback only. */
export interface RecordedRequest {
  readonly method: string;
  readonly path: string;
  /** The query as sent, without `?`. */
  readonly query: string;
  /** The form of a POST `_search`. Never a token request's. */
  readonly body?: string;
  /** Kind of request: read, search, page, token, metadata, smart, those of bulk/faultActions.ts, or other. */
  readonly endpoint: string;
  readonly type?: string;
  /** 0 when no answer was sent (reset, hang, or the client left). */
  readonly status: number;
  /** A valid bearer token was there. */
  readonly authorized: boolean;
  readonly clientId?: string;
  /** Why a token request was refused. */
  readonly reason?: string;
  /** Headers that tests look at: accept, accept-encoding, prefer, range, if-range, epic-client-id, user-agent, host. */
  readonly headers: Readonly<Record<string, string>>;
  /** The server's clock when the request was in. */
  readonly atMs: number;
}

export interface RequestCounts {
  readonly total: number;
  readonly inFlight: number;
  /** The most requests that were open at one time. */
  readonly maxInFlight: number;
  readonly byStatus: Readonly<Record<string, number>>;
  readonly byEndpoint: Readonly<Record<string, number>>;
}

export interface RequestLog {
  readonly requests: readonly RecordedRequest[];
  opened(): void;
  closed(request: RecordedRequest): void;
  counts(): RequestCounts;
}

const KEPT_REQUESTS = 100_000;
/** Trimmed in steps: taking one off the front of a long list each time would be slow. */
const TRIM_STEP = 1_000;

export function requestLog(): RequestLog {
  const requests: RecordedRequest[] = [];
  const byStatus: Record<string, number> = {};
  const byEndpoint: Record<string, number> = {};
  let total = 0;
  let inFlight = 0;
  let maxInFlight = 0;
  return {
    requests,
    opened() {
      inFlight += 1;
      maxInFlight = Math.max(maxInFlight, inFlight);
    },
    closed(request) {
      inFlight -= 1;
      total += 1;
      byStatus[String(request.status)] = (byStatus[String(request.status)] ?? 0) + 1;
      byEndpoint[request.endpoint] = (byEndpoint[request.endpoint] ?? 0) + 1;
      requests.push(request);
      if (requests.length > KEPT_REQUESTS) requests.splice(0, TRIM_STEP);
    },
    counts: () => ({
      total,
      inFlight,
      maxInFlight,
      byStatus: { ...byStatus },
      byEndpoint: { ...byEndpoint },
    }),
  };
}
