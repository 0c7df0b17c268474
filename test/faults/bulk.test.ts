import { describe, expect, it } from 'vitest';
import { BULK_ROWS } from './rowsBulk.ts';
import { runRow } from './runRow.ts';

/** For a machine that is busy. */
const LIMIT_MS = 180_000;

describe('what happens when', () => {
  it.each(BULK_ROWS.map((row) => [row.title, row] as const))(
    '%s',
    async (_, row) => {
      expect(row.result).not.toBe('');
      await runRow(row);
    },
    LIMIT_MS,
  );
});
