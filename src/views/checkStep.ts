import { asRoundsError } from '../errors.ts';
import { oneLine } from '../report/format.ts';

/** One line of `check`. */
export interface Step {
  readonly job: string;
  readonly step: string;
  readonly verdict: 'ok' | 'warning' | 'problem' | 'skipped';
  readonly detail: string;
  /** What to do. */
  readonly hint?: string;
}

/** Tells the steps of one job as they come. */
export interface Teller {
  tell(step: string, verdict: Step['verdict'], detail: string, hint?: string): void;
  /** Does `work` and tells it ok with its detail, or a problem with the error's hint; undefined then. */
  attempt<T>(step: string, work: () => Promise<{ value: T; detail: string }>): Promise<T | undefined>;
  readonly signal: AbortSignal;
}

export function tellerOf(job: string, signal: AbortSignal, take: (step: Step) => void): Teller {
  const tell: Teller['tell'] = (step, verdict, detail, hint) =>
    take({ job, step, verdict, detail, ...(hint === undefined ? {} : { hint }) });
  return {
    tell,
    signal,
    async attempt(step, work) {
      try {
        const { value, detail } = await work();
        tell(step, 'ok', detail);
        return value;
      } catch (thrown) {
        signal.throwIfAborted();
        const { code, message, hint } = asRoundsError(thrown);
        tell(step, 'problem', `${code}: ${message}`, hint);
        return undefined;
      }
    },
  };
}

const MARKS = { ok: 'ok      ', warning: 'warning ', problem: 'PROBLEM ', skipped: 'skipped ' } as const;

export function lineOf({ job, step, verdict, detail, hint }: Step): string {
  // A server names its software as it likes, control characters of terminals included.
  return `${MARKS[verdict]}${job}: ${step}: ${oneLine(detail)}${hint === undefined ? '' : `\n        ${hint}`}`;
}
