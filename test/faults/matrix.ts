import { ANSWER_ROWS } from './rowsAnswers.ts';
import { BULK_ROWS } from './rowsBulk.ts';
import { BODY_ROWS } from './rowsBodies.ts';
import { MAIL_ROWS } from './rowsMail.ts';
import { PAGING_ROWS } from './rowsPaging.ts';
import { PEER_ROWS, PEER_STORIES } from './rowsPeers.ts';
import { SERVER_STORIES } from './rowsServers.ts';
import type { FaultRow, FaultStory } from './row.ts';

/** The whole matrix, in the README's order. */
export const MATRIX: readonly FaultRow[] = [
  ...ANSWER_ROWS,
  ...BODY_ROWS,
  ...PAGING_ROWS,
  ...MAIL_ROWS,
  ...PEER_ROWS,
  ...BULK_ROWS,
];

export const STORIES: readonly FaultStory[] = [...SERVER_STORIES, ...PEER_STORIES];

export const TABLE_START = '<!-- faults:start -->';
export const TABLE_END = '<!-- faults:end -->';

/** README's table, from the rows themselves. */
export function faultTable(): string {
  const rows = [...MATRIX, ...STORIES].map(({ title, result }) => [title, result] as const);
  const widths = [0, 1].map((column) =>
    Math.max(...[['When ...', 'what happens'] as const, ...rows].map((row) => row[column]!.length)),
  );
  const line = (cells: readonly string[], fill = ' ') =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column]!, fill)).join(' | ')} |`;
  return [line(['When ...', 'what happens']), line(['', ''], '-'), ...rows.map((row) => line(row))].join(
    '\n',
  );
}
