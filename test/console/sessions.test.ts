import { readdir } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { forgetOldLinks, LINK_LIFE_MS, makeLoginCode, Sessions } from '../../src/console/sessions.ts';
import { createFakeClock } from '../support/fakeClock.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const MINUTE_MS = 60_000;
const IDLE_MS = 15 * MINUTE_MS;

async function site() {
  const folder = await temporaryFolder();
  const clock = createFakeClock();
  const sessions = new Sessions(folder, clock, IDLE_MS);
  const open = async () => (await sessions.open(await makeLoginCode(folder, clock)))!;
  return { folder, clock, sessions, open };
}

describe('sessions', () => {
  it('end when nothing was done for so long; what an open page does by itself does not count', async () => {
    const { clock, sessions, open } = await site();
    const { secret, session } = await open();
    for (let clicks = 0; clicks < 3; clicks++) {
      await clock.advance(IDLE_MS);
      expect(sessions.find(secret, true)).toBe(session);
    }
    await clock.advance(IDLE_MS - 1);
    expect(sessions.find(secret, false)).toBe(session);
    await clock.advance(2);
    expect(sessions.find(secret, true)).toBeUndefined();
    expect(sessions.find(secret, true)).toBeUndefined();
  });

  it('end after twelve hours, however busy', async () => {
    const { clock, sessions, open } = await site();
    const { secret } = await open();
    for (let minutes = 0; minutes < 12 * 60; minutes += 10) {
      expect(sessions.find(secret, true)).toBeDefined();
      await clock.advance(10 * MINUTE_MS);
    }
    await clock.advance(1);
    expect(sessions.find(secret, true)).toBeUndefined();
  });

  it('are begun by a link within ten minutes, once, also when two come at once', async () => {
    const { folder, clock, sessions } = await site();
    const code = await makeLoginCode(folder, clock);
    const opened = await Promise.all([sessions.open(code), sessions.open(code), sessions.open(code)]);
    expect(opened.filter((one) => one !== undefined)).toHaveLength(1);
    const late = await makeLoginCode(folder, clock);
    await clock.advance(LINK_LIFE_MS + 1);
    expect(await sessions.open(late)).toBeUndefined();
    expect(await sessions.open(late)).toBeUndefined();
  });

  it('have secrets, tokens and names of their own', async () => {
    const { sessions, open } = await site();
    const [one, other] = [await open(), await open()];
    const all = [one, other].flatMap(({ secret, session }) => [secret, session.csrfToken, session.name]);
    expect(new Set(all).size).toBe(6);
    sessions.close(one.session);
    expect(sessions.find(one.secret, true)).toBeUndefined();
    expect(sessions.find(other.secret, true)).toBe(other.session);
  });

  it('leave no links behind that nobody followed', async () => {
    const { folder, clock } = await site();
    await makeLoginCode(folder, clock);
    await clock.advance(LINK_LIFE_MS + 1);
    await makeLoginCode(folder, clock);
    await forgetOldLinks(folder, clock);
    expect(await readdir(folder)).toHaveLength(1);
  });
});
