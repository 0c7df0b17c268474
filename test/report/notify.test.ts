import { describe, expect, it } from 'vitest';
import { isWorthMail, type NotifyOn } from '../../src/report/notify.ts';
import type { RunSummary } from '../../src/report/summary.ts';
import { counts, markedSummary, summaryOf, typeOf } from './sampleSummary.ts';

const same = summaryOf({ types: [typeOf('Patient', 8, counts(8, 0, 0, 0), 8)] });
const before = { runId: '20261121T020000Z-91bc', status: 'failed' } as const;

describe('isWorthMail', () => {
  const rows: readonly (readonly [what: string, summary: RunSummary, mailedOn: readonly NotifyOn[]])[] = [
    ['a complete run like the one before', same, ['always']],
    ['another number of records', summaryOf(), ['always', 'change']],
    ['a gap', { ...same, searches: counts(7, 0, 1, 0) }, ['always', 'problems', 'change']],
    ['a partial run', { ...same, status: 'partial' }, ['always', 'problems', 'change']],
    ['a failed run', { ...same, status: 'failed' }, ['always', 'problems', 'change']],
    ['an abandoned run', { ...same, status: 'abandoned' }, ['always', 'problems', 'change']],
    ['the all-clear', { ...same, recovered: before }, ['always', 'problems', 'change']],
    ['a mark', { ...same, trend: markedSummary().trend! }, ['always', 'problems', 'change']],
    ['a summary of an earlier version', { ...same, trend: undefined! }, ['always']],
  ];
  it.each(rows)('%s', (_what, summary, mailedOn) => {
    const all: readonly NotifyOn[] = ['always', 'problems', 'change'];
    expect(all.filter((notifyOn) => isWorthMail(summary, notifyOn))).toEqual(mailedOn);
  });
});
