import { describe, expect, it } from 'vitest';
import type { JobConfig } from '../../src/config/schema.ts';
import { Connections } from '../../src/console/gateway/connections.ts';
import { RoundsError } from '../../src/errors.ts';
import type { Server } from '../../src/run/deps.ts';
import { createFakeClock, settle, type FakeClock } from '../support/fakeClock.ts';
import { rejection } from '../support/rejection.ts';

const job = (jobName = 'default'): JobConfig => ({ jobName }) as JobConfig;

interface Watched {
  readonly connections: Connections;
  readonly clock: FakeClock;
  /** `open 1`, `close 1` ... as it happened. */
  readonly events: string[];
}

function watched(failing = false): Watched {
  const events: string[] = [];
  const clock = createFakeClock();
  let opened = 0;
  const connect = async (): Promise<Server> => {
    const n = ++opened;
    events.push(`open ${n}`);
    if (failing) throw new RoundsError('TOKEN_INVALID_CLIENT', 'no');
    return { n, close: async () => void events.push(`close ${n}`) } as unknown as Server;
  };
  return { connections: new Connections({ connect, clock, idleMs: 1000 }), clock, events };
}

const numberOf = (server: Server): Promise<unknown> =>
  Promise.resolve((server as unknown as { n: number }).n);

describe('connections of the gateway', () => {
  it('are made at the first use, shared, and closed when idle', async () => {
    const { connections, clock, events } = watched();
    const one = job();
    expect(events).toEqual([]);
    expect(await Promise.all([connections.use(one, numberOf), connections.use(one, numberOf)])).toEqual([
      1, 1,
    ]);
    await clock.advance(900);
    expect(await connections.use(one, numberOf)).toBe(1);
    await clock.advance(900);
    expect(events).toEqual(['open 1']);
    await clock.advance(200);
    expect(events).toEqual(['open 1', 'close 1']);
    expect(await connections.use(one, numberOf)).toBe(2);
    await connections.close();
    expect(events).toEqual(['open 1', 'close 1', 'open 2', 'close 2']);
    expect(clock.sleeping).toBe(0);
  });

  it('are one a job, and new ones when the INI changed; who uses the old one ends in peace', async () => {
    const { connections, events } = watched();
    const [old, other] = [job(), job('other')];
    await connections.use(other, numberOf);
    let end = (): void => undefined;
    const busy = connections.use(old, () => new Promise<void>((resolve) => (end = resolve)));
    await settle();
    expect(await connections.use(job(), numberOf)).toBe(3);
    expect(events).toEqual(['open 1', 'open 2', 'open 3']);
    end();
    await busy;
    await settle();
    expect(events.at(-1)).toBe('close 2');
    await connections.close();
  });

  it('are made anew after a failure that was not the asker’s', async () => {
    const { connections, events } = watched();
    const one = job();
    const failWith = (code: 'CONSOLE_REFUSED' | 'TOKEN_NOT_ACCEPTED') => () =>
      Promise.reject(new RoundsError(code, 'no'));
    await rejection(connections.use(one, failWith('CONSOLE_REFUSED')));
    expect(await connections.use(one, numberOf)).toBe(1);
    await rejection(connections.use(one, failWith('TOKEN_NOT_ACCEPTED')));
    expect(await connections.use(one, numberOf)).toBe(2);
    expect(events).toEqual(['open 1', 'close 1', 'open 2']);
    await connections.close();
  });

  it('are tried again when they could not be made', async () => {
    const { connections, events } = watched(true);
    const one = job();
    expect((await rejection(connections.use(one, numberOf))).code).toBe('TOKEN_INVALID_CLIENT');
    expect((await rejection(connections.use(one, numberOf))).code).toBe('TOKEN_INVALID_CLIENT');
    expect(events).toEqual(['open 1', 'open 2']);
    await connections.close();
  });
});
