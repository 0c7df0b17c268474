import type { JobConfig } from '../../config/schema.ts';
import { asRoundsError } from '../../errors.ts';
import type { Server } from '../../run/deps.ts';
import type { Clock } from '../../system/clock.ts';

export interface ConnectionsOptions {
  /** Gets a token and reads the CapabilityStatement. */
  readonly connect: (job: JobConfig) => Promise<Server>;
  readonly clock: Clock;
  /** Unused for so long, a connection is closed and its token forgotten. Default: 10 minutes. */
  readonly idleMs?: number;
}

interface Connection {
  readonly job: JobConfig;
  readonly server: Promise<Server>;
  users: number;
  /** Nobody new gets it; closed when its last user is done. */
  isRetired: boolean;
  /** Ends the wait for idleness. */
  waking: AbortController | undefined;
}

const IDLE_MS = 600_000;

/**
 * The FHIR servers that the gateway talks to: one connection a job, made at its first use, kept with its token while it is
 * used, and made anew when the INI changed or the server took the client no longer.
 */
export class Connections {
  readonly #options: ConnectionsOptions;
  readonly #byJob = new Map<string, Connection>();
  /** Closings under way. */
  readonly #ends = new Set<Promise<void>>();
  #isClosed = false;

  constructor(options: ConnectionsOptions) {
    this.#options = options;
  }

  /** Does `work` with the job's server. Throws what connecting throws, and what `work` does. */
  async use<T>(job: JobConfig, work: (server: Server) => Promise<T>): Promise<T> {
    const connection = this.#take(job);
    connection.users++;
    connection.waking?.abort();
    try {
      return await work(await connection.server);
    } catch (thrown) {
      // A client that was refused once is stopped for good (serverGate.ts): the next use begins anew.
      if (!asRoundsError(thrown).code.startsWith('CONSOLE_')) this.#retire(connection);
      throw thrown;
    } finally {
      connection.users--;
      if (connection.users === 0) this.#rest(connection);
    }
  }

  /** Closes all; who uses one still ends it. May be repeated. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const connection of [...this.#byJob.values()]) this.#retire(connection);
    await Promise.all(this.#ends);
  }

  #take(job: JobConfig): Connection {
    const known = this.#byJob.get(job.jobName);
    if (known?.job === job) return known;
    if (known !== undefined) this.#retire(known);
    const server = this.#options.connect(job);
    // Who uses it hears of it.
    server.catch(() => undefined);
    const made: Connection = { job, server, users: 0, isRetired: this.#isClosed, waking: undefined };
    if (!this.#isClosed) this.#byJob.set(job.jobName, made);
    return made;
  }

  #retire(connection: Connection): void {
    if (this.#byJob.get(connection.job.jobName) === connection) this.#byJob.delete(connection.job.jobName);
    connection.waking?.abort();
    const isNew = !connection.isRetired;
    connection.isRetired = true;
    if (isNew && connection.users === 0) this.#end(connection);
  }

  #rest(connection: Connection): void {
    if (connection.isRetired) {
      this.#end(connection);
      return;
    }
    const waking = new AbortController();
    connection.waking = waking;
    this.#options.clock.sleep(this.#options.idleMs ?? IDLE_MS, waking.signal).then(
      () => this.#retire(connection),
      () => undefined,
    );
  }

  #end({ server }: Connection): void {
    const end = server
      .then((one) => one.close())
      .catch(() => undefined)
      .finally(() => this.#ends.delete(end));
    this.#ends.add(end);
  }
}
