import { describe, expect, it } from 'vitest';
import { SERVER_STORIES } from './rowsServers.ts';
import { runStory } from './runRow.ts';

/** For a machine that is busy; the longest row takes a few seconds otherwise. */
const LIMIT_MS = 180_000;

describe('what happens when', () => {
  it.each(SERVER_STORIES.map((story) => [story.title, story] as const))(
    '%s',
    async (_, story) => {
      expect(story.result).not.toBe('');
      await runStory(story);
    },
    LIMIT_MS,
  );
});
