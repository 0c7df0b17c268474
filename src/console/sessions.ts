import { createHash, randomBytes } from 'node:crypto';
import { readdir, readFile, rm, unlink } from 'node:fs/promises';
import path from 'node:path';
import { ensureFolder, errno, writeAtomic } from '../system/files.ts';
import type { Clock } from '../system/clock.ts';

/** Somebody who came by a one-time link. */
export interface Session {
  /** Names the session in the audit file; gives no access. */
  readonly name: string;
  /** Has to come with whatever changes something. */
  readonly csrfToken: string;
}

/** A link that nobody followed in this time is worth nothing. */
export const LINK_LIFE_MS = 10 * 60_000;
/** However busy, a session ends after this: a working day and a bit. */
const LONGEST_MS = 12 * 3_600_000;
const SECRET_BYTES = 32;

/**
 * Makes the secret of a one-time link. Its hash is left in `folder`, where the console finds it: so `console --link`
 * needs no word with the running console, and who may write into the state folder may log in, nobody else.
 */
export async function makeLoginCode(folder: string, clock: Clock): Promise<string> {
  await ensureFolder(folder);
  const code = randomBytes(SECRET_BYTES).toString('base64url');
  await writeAtomic(path.join(folder, hashOf(code)), String(clock.now() + LINK_LIFE_MS));
  return code;
}

interface Kept extends Session {
  readonly sinceMs: number;
  seenMs: number;
}

/** The sessions of one console. They live in its memory: when it ends, everybody has to come by a link again. */
export class Sessions {
  readonly #folder: string;
  readonly #clock: Clock;
  readonly #idleMs: number;
  /** By the hash of the cookie, so that a lookup tells nothing by its time. */
  readonly #bySecret = new Map<string, Kept>();

  constructor(folder: string, clock: Clock, idleMs: number) {
    this.#folder = folder;
    this.#clock = clock;
    this.#idleMs = idleMs;
  }

  /** Takes a link's secret, once; undefined when it is unknown, used or too old. `secret`: the cookie's value. */
  async open(code: string): Promise<{ readonly session: Session; readonly secret: string } | undefined> {
    if (!(await this.#take(code))) return undefined;
    const secret = randomBytes(SECRET_BYTES).toString('base64url');
    const now = this.#clock.monotonicMs();
    const session: Kept = {
      name: randomBytes(6).toString('hex'),
      csrfToken: randomBytes(SECRET_BYTES).toString('base64url'),
      sinceMs: now,
      seenMs: now,
    };
    this.#bySecret.set(hashOf(secret), session);
    return { session, secret };
  }

  /** The session of a cookie, unless it was idle too long. `touches`: whether a person did something just now. */
  find(secret: string, touches: boolean): Session | undefined {
    const key = hashOf(secret);
    const session = this.#bySecret.get(key);
    if (session === undefined) return undefined;
    const now = this.#clock.monotonicMs();
    if (now - session.seenMs > this.#idleMs || now - session.sinceMs > LONGEST_MS) {
      this.#bySecret.delete(key);
      return undefined;
    }
    if (touches) session.seenMs = now;
    return session;
  }

  close(session: Session): void {
    for (const [key, kept] of this.#bySecret) if (kept === session) this.#bySecret.delete(key);
  }

  /** Whoever removes the file has the link: of two that come at once, one. */
  async #take(code: string): Promise<boolean> {
    const file = path.join(this.#folder, hashOf(code));
    try {
      const until = Number(await readFile(file, 'utf8'));
      await unlink(file);
      return this.#clock.now() <= until;
    } catch (error) {
      if (errno(error) === 'ENOENT') return false;
      throw error;
    }
  }
}

/** Links that nobody followed: to be cleared away when a console starts. */
export async function forgetOldLinks(folder: string, clock: Clock): Promise<void> {
  await ensureFolder(folder);
  for (const name of await readdir(folder)) {
    const file = path.join(folder, name);
    const until = Number(await readFile(file, 'utf8').catch(() => '0'));
    if (!(clock.now() <= until)) await rm(file, { force: true });
  }
}

function hashOf(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}
