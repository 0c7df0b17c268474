import { randomBytes } from 'node:crypto';
import { hashText } from './population/dice.ts';
import type { Parameters } from './search.ts';

/** A search whose pages are still to come. Pages are computed again: a session holds no resources. */
export interface PagingSession {
  readonly type: string;
  readonly parameters: Parameters;
  readonly openedAtMs: number;
}

export interface PagingSessions {
  /** The opaque `sessionID` of a new session. */
  open(session: Omit<PagingSession, 'openedAtMs'>): string;
  /** Undefined when unknown or expired. */
  find(sessionId: string): PagingSession | undefined;
}

/** Sessions kept at most; the oldest are dropped and answer 4113, as if expired. */
const KEPT_SESSIONS = 50_000;

export function pagingSessions(lifeMs: number, now: () => number): PagingSessions {
  const sessions = new Map<string, PagingSession>();
  let opened = 0;
  const isOver = (session: PagingSession) => now() - session.openedAtMs >= lifeMs;
  return {
    open(session) {
      for (const [id, old] of sessions) {
        if (sessions.size < KEPT_SESSIONS && !isOver(old)) break;
        sessions.delete(id);
      }
      opened += 1;
      const id = `${randomBytes(16).toString('hex')}-${opened}`;
      sessions.set(id, { ...session, openedAtMs: now() });
      return id;
    },
    find(sessionId) {
      const session = sessions.get(sessionId);
      if (session === undefined || !isOver(session)) return session;
      sessions.delete(sessionId);
      return undefined;
    },
  };
}

/** The part of the matches that a page holds. */
export interface PageSpan {
  readonly from: number;
  readonly to: number;
}

/**
 * How matches fall into pages. Of all patient searches about one in six has short pages, and one in six an
 * empty page that is not the last (both seen at Epic, H); which, depends on the key alone.
 */
export function pageSpans(
  total: number,
  pageSize: number,
  quirkKey: string | undefined,
): readonly PageSpan[] {
  const hash = quirkKey === undefined ? 5 : hashText(quirkKey);
  const short = hash % 6 === 1;
  const spans: PageSpan[] = [];
  let from = 0;
  while (from < total) {
    const size = short && spans.length % 2 === 0 ? Math.max(1, Math.ceil(pageSize * 0.6)) : pageSize;
    const to = Math.min(total, from + size);
    spans.push({ from, to });
    from = to;
  }
  if (hash % 6 === 0 && total > 0) {
    const at = (hash >>> 8) % spans.length;
    const start = spans[at]?.from ?? 0;
    spans.splice(at, 0, { from: start, to: start });
  }
  return spans.length === 0 ? [{ from: 0, to: 0 }] : spans;
}
