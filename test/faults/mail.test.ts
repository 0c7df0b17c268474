import { describe, expect, it } from 'vitest';
import { MAIL_ROWS } from './rowsMail.ts';
import { runRow } from './runRow.ts';

/** For a machine that is busy; the longest row takes a few seconds otherwise. */
const LIMIT_MS = 180_000;

describe('what happens when', () => {
  it.each(MAIL_ROWS.map((row) => [row.title, row] as const))(
    '%s',
    async (_, row) => {
      expect(row.result).not.toBe('');
      await runRow(row);
    },
    LIMIT_MS,
  );
});
