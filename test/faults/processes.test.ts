import { describe, expect, it } from 'vitest';
import { runsOf } from '../support/publishedRun.ts';
import { expectNoLeak } from './canary.ts';
import { MATRIX } from './matrix.ts';
import { expectPublished, siteOfRow } from './runRow.ts';

const ROWS = MATRIX.filter(({ asProcess }) => asProcess === true);

/** For a machine that is busy; the longest row takes a few seconds otherwise. */
const LIMIT_MS = 180_000;

describe('as a process of its own, by the real clock: what happens when', () => {
  it('are a dozen rows', () => {
    expect(ROWS.length).toBeGreaterThanOrEqual(12);
  });

  it.each(ROWS.map((row) => [row.title, row] as const))(
    '%s',
    async (_, row) => {
      const made = await siteOfRow(row);
      const { site, phi, tokens, trap } = made;
      const { code, stdout, stderr } = await site.run(row.mail ? ['run'] : ['run', '--no-mail']);
      expect(code, stdout + stderr).toBe(row.expect.exit);
      for (const piece of row.expect.causes ?? []) expect(stdout).toContain(piece.split(/[ /]/)[2]);
      if (row.mail) expect(stderr).toContain(`1 mail waits in the outbox (${row.mail.waits.code})`);
      expect(trap?.counts().total ?? 0).toBe(0);
      const runId = (await runsOf(site)).at(-1);
      await expectPublished(
        row.expect,
        made,
        runId === undefined ? undefined : site.path('exports', 'default', runId),
      );
      await expectNoLeak(site, { stdout, stderr }, phi, tokens);
    },
    LIMIT_MS,
  );
});
