import { Worker } from 'node:worker_threads';
import { RoundsError } from '../errors.ts';
import type { LastVerdict, Verdict } from './fileJudge.ts';
import type { Answer, Question } from './judgeMessages.ts';

/** As it was built, since a thread reads no TypeScript. */
const THREAD = new URL('./judgeThread.js', import.meta.url);

/** So much is judged at a time: enough to make the way to the thread cheap, and little beside what a process holds. */
const BLOCK_BYTES = 512 * 1024;

interface Waiting {
  readonly resolve: (answer: Verdict | LastVerdict) => void;
  readonly reject: (error: RoundsError) => void;
}

/** One NDJSON file, whose blocks are judged in the order in which they are given. */
export interface JudgedFile {
  /**
   * What of a block is to be stored. Rejects with BULK_FILE_MALFORMED, then for every later block, too. The block may be
   * read meanwhile, and not be written to.
   */
  judge(block: Buffer): Promise<Verdict>;
  /** To be called when all blocks were given. */
  end(): Promise<LastVerdict>;
  /** To be called when nothing more will be asked. May be repeated. */
  drop(): void;
}

/**
 * A thread of its own that judges NDJSON files (FileJudge), so that reading their bytes one by one costs the thread that
 * downloads them nothing. Has to be closed: until then it keeps the process alive.
 *
 * A thread that does not start or ends before its time makes all that is asked, then and later, reject with INTERNAL.
 */
export class Judge {
  readonly #worker: Worker;
  /** Whose answers are to come, in order. */
  readonly #waiting: Waiting[] = [];
  readonly #free: Buffer[] = [];
  #failure: RoundsError | undefined;
  #files = 0;

  private constructor(thread: URL) {
    // Flags are for the process: what --import loads there would be loaded here once more.
    this.#worker = new Worker(thread, { name: 'judge', execArgv: [] });
    this.#worker.on('message', (answer: Answer) => this.#hear(answer));
    this.#worker.on('error', (cause) => this.#fail(cause));
    this.#worker.on('messageerror', (cause) => this.#fail(cause));
    this.#worker.on('exit', () => this.#fail());
  }

  /** @param thread what to run, for tests */
  static start(thread = THREAD): Judge {
    return new Judge(thread);
  }

  /** Begins a file. `resourceType`: what every line has to be; undefined: any type. */
  begin(resourceType: string | undefined): JudgedFile {
    const fileNo = this.#files++;
    let isDropped = false;
    this.#tell({ ask: 'begin', fileNo, resourceType });
    return {
      judge: async (block) => (await this.#ask({ ask: 'block', fileNo, block })) as Verdict,
      end: async () => (await this.#ask({ ask: 'end', fileNo })) as LastVerdict,
      drop: () => {
        if (!isDropped) this.#tell({ ask: 'drop', fileNo });
        isDropped = true;
      },
    };
  }

  /** Memory that both threads see, so that no byte is copied on its way. What it holds is left from before. */
  takeBlock(): Buffer {
    return this.#free.pop() ?? Buffer.from(new SharedArrayBuffer(BLOCK_BYTES));
  }

  /** To be called when a block was judged and nobody reads it any more; one that is not given back is lost to no harm. */
  giveBack(block: Buffer): void {
    this.#free.push(block);
  }

  #ask(question: Extract<Question, { ask: 'block' | 'end' }>): Promise<Verdict | LastVerdict> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) return reject(this.#failure);
      this.#waiting.push({ resolve, reject });
      this.#worker.postMessage(question);
    });
  }

  #tell(question: Extract<Question, { ask: 'begin' | 'drop' }>): void {
    if (this.#failure === undefined) this.#worker.postMessage(question);
  }

  #hear(answer: Answer): void {
    const { resolve, reject } = this.#waiting.shift()!;
    if ('wrong' in answer) reject(new RoundsError('BULK_FILE_MALFORMED', answer.wrong));
    else resolve(answer);
  }

  #fail(cause?: unknown): void {
    this.#failure ??= new RoundsError('INTERNAL', 'the thread that judges what is downloaded has ended', {
      cause,
    });
    for (const { reject } of this.#waiting.splice(0)) reject(this.#failure);
  }

  /** Ends the thread: what is still asked rejects with INTERNAL. May be repeated. */
  async close(): Promise<void> {
    this.#fail();
    this.#free.length = 0;
    await this.#worker.terminate();
  }
}
