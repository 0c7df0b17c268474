import { count, oneLine, rosterLines } from './format.ts';
import { causeTitle } from './markText.ts';
import type { CauseSummary } from './summary.ts';

interface CauseRow {
  readonly searches: string;
  readonly resourceType: string;
  readonly lines: string;
}

/** All of one code (and Epic code and HTTP status), by type. */
export interface CauseGroup {
  readonly outcome: 'gap' | 'failed';
  /** `FHIR_ACCESS_DENIED (Epic 4134, HTTP 403)` */
  readonly title: string;
  readonly searches: number;
  readonly hint: string;
  readonly rows: readonly CauseRow[];
}

/** Failures before gaps, then the more frequent first. */
export function byWeight(a: CauseSummary, b: CauseSummary): number {
  if (a.outcome !== b.outcome) return a.outcome === 'failed' ? -1 : 1;
  return b.searches - a.searches;
}

function causeKey(cause: CauseSummary): string {
  return [cause.outcome, cause.code, cause.epicCode ?? '', cause.httpStatus ?? ''].join('|');
}

/** Whom it struck: lines of the roster, or files of a bulk export. */
function places({ rosterLines: lines, files = [], searches }: CauseSummary): string {
  if (files.length === 0) return rosterLines(lines, searches);
  const more = searches - files.length;
  return files.join(', ') + (more > 0 ? ` and ${count(more)} more` : '');
}

/** Groups what is shown; a group's count is over all its causes, also those that were cut. */
export function groupCauses(shown: readonly CauseSummary[], all: readonly CauseSummary[]): CauseGroup[] {
  const groups = new Map<string, CauseSummary[]>();
  for (const cause of shown) {
    const key = causeKey(cause);
    groups.set(key, [...(groups.get(key) ?? []), cause]);
  }
  return [...groups].map(([key, causes]) => {
    const first = causes[0]!;
    return {
      outcome: first.outcome,
      title: causeTitle(first),
      searches: all.filter((c) => causeKey(c) === key).reduce((sum, c) => sum + c.searches, 0),
      hint: oneLine(first.said === undefined ? first.hint : `${first.said}. ${first.hint}`),
      rows: causes.map((cause) => ({
        searches: count(cause.searches),
        resourceType: oneLine(cause.resourceType),
        lines: places(cause),
      })),
    };
  });
}
