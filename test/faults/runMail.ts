import { expect } from 'vitest';
import { sendWaitingMail, type Surroundings } from '../../src/compose.ts';
import { loadConfig } from '../../src/config/load.ts';
import type { DrainResult } from '../../src/report/outbox.ts';
import type { RunSummary } from '../../src/report/summary.ts';
import type { StateLedger } from '../../src/run/stateLedger.ts';
import type { Site } from '../support/site.ts';
import type { MailTrouble } from './row.ts';

/** The first run's mail waits, and nothing of it was said in clear; the trouble over, it arrives with the second's. */
export async function expectMail(
  { waits: { code, held }, logins }: MailTrouble,
  site: Site,
  {
    around,
    state,
    again,
  }: {
    readonly around: Surroundings;
    readonly state: StateLedger;
    readonly again: () => Promise<RunSummary>;
  },
): Promise<void> {
  const smtp = site.sandbox.smtp!;
  const send = async (): Promise<DrainResult> => {
    const config = await loadConfig({ file: site.configFile, env: {} });
    return sendWaitingMail(config, await state.fresh(), around, true);
  };
  expect(await send()).toEqual({ sent: 0, waiting: held ? 0 : 1, held: held ? 1 : 0, lastCode: code });
  expect(smtp.mails).toEqual([]);
  expect(smtp.logins.map(({ secure }) => secure)).toEqual(Array.from({ length: logins }, () => true));

  smtp.setFaults([]);
  await site.configure({});
  expect((await again()).status).toBe('complete');
  expect(await send()).toEqual({ sent: 2, waiting: 0, held: 0 });
  expect(smtp.mails.map(({ secure }) => secure)).toEqual([true, true]);
  const runIds = smtp.mails.map(({ subject }) => /\[(.*)\]/.exec(subject)?.[1]);
  expect(runIds).toHaveLength(new Set(runIds).size);
  // A held mail is tried after one that proved the way; the others keep their order.
  if (!held) expect(runIds).toEqual(runIds.toSorted());
}
