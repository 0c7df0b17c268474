import { describe, expect, it } from 'vitest';
import { PEER_ROWS, PEER_STORIES } from './rowsPeers.ts';
import { runRow, runStory } from './runRow.ts';

/** For a machine that is busy; the longest row takes a few seconds otherwise. */
const LIMIT_MS = 180_000;

describe('what happens when', () => {
  it.each(PEER_ROWS.map((row) => [row.title, row] as const))(
    '%s',
    async (_, row) => {
      expect(row.result).not.toBe('');
      await runRow(row);
    },
    LIMIT_MS,
  );

  it.each(PEER_STORIES.map((story) => [story.title, story] as const))(
    '%s',
    async (_, story) => {
      expect(story.result).not.toBe('');
      await runStory(story);
    },
    LIMIT_MS,
  );
});
