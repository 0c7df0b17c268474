/** What the mail server does wrong when it is told to: rules as data. */

/** When a rule strikes, by how often its stage was reached since `setFaults` (from 1); always when absent. */
interface SmtpFaultWhen {
  readonly nth?: readonly number[];
  /** The first n times. */
  readonly first?: number;
}

export type SmtpFaultThen =
  | {
      readonly stage: 'connect' | 'auth' | 'rcpt' | 'data';
      /** The reply's code, such as 451. */
      readonly code: number;
      /** Closes the connection after the reply. */
      readonly close?: boolean;
    }
  /** The connection has no STARTTLS, as behind an attacker who strips it. */
  | { readonly noStarttls: true }
  /** Takes what comes and never answers. */
  | { readonly hang: 'greeting' | 'data' };

/** One thing that goes wrong, as data. */
export interface SmtpFault {
  readonly when?: SmtpFaultWhen;
  readonly then: SmtpFaultThen;
}

export type ReplyFault = Extract<SmtpFaultThen, { readonly stage: string }>;

interface FaultCounter {
  replies(stage: ReplyFault['stage']): ReplyFault | undefined;
  hangs(at: 'greeting' | 'data'): boolean;
  stripsStarttls(): boolean;
}

/** Counts, for each rule, how often its point was reached. */
export function countFaults(rules: readonly SmtpFault[]): FaultCounter {
  const reached = rules.map(() => 0);
  /** The first striking rule among those that `concerns`; all of these count, struck or not. */
  function strike(concerns: (then: SmtpFaultThen) => boolean): SmtpFaultThen | undefined {
    let struck: SmtpFaultThen | undefined;
    for (const [i, { when, then }] of rules.entries()) {
      if (!concerns(then)) continue;
      const n = (reached[i] = reached[i]! + 1);
      const strikes =
        when === undefined || when.nth?.includes(n) === true || (when.first !== undefined && n <= when.first);
      if (strikes) struck ??= then;
    }
    return struck;
  }
  return {
    replies: (stage) => strike((then) => 'stage' in then && then.stage === stage) as ReplyFault | undefined,
    hangs: (at) => strike((then) => 'hang' in then && then.hang === at) !== undefined,
    stripsStarttls: () => strike((then) => 'noStarttls' in then) !== undefined,
  };
}
