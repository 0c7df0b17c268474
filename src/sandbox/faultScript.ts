import type { FaultAction, FaultEndpoint, FaultRule, FaultWhen } from './faults.ts';
import { draw } from './population/dice.ts';

/** A request as faults see it. */
export interface FaultSubject {
  readonly endpoint: FaultEndpoint;
  readonly type?: string | undefined;
  readonly patientId?: string | undefined;
  /** Of what is read. */
  readonly id?: string | undefined;
  readonly query: string;
  readonly page?: number | undefined;
  readonly url: string;
}

/** Decides for each request; counts as it goes. */
export interface FaultScript {
  readonly rules: readonly FaultRule[];
  /** The action of the first rule that strikes. Every rule that fits counts the request. */
  decide(subject: FaultSubject): FaultAction | undefined;
  /** How often each rule has struck. */
  readonly struck: readonly number[];
}

export function faultScript(
  rules: readonly FaultRule[],
  seed: number,
  patientIdAt: (ordinal: number) => string | undefined,
  now: () => number,
): FaultScript {
  const setAtMs = now();
  const counts = rules.map(() => new Map<string, number>());
  const struck = rules.map(() => 0);
  const fits = ({ match }: FaultRule, subject: FaultSubject) => {
    const patient = typeof match.patient === 'number' ? patientIdAt(match.patient) : match.patient;
    return (
      (match.endpoint === undefined || match.endpoint === subject.endpoint) &&
      (match.type === undefined || match.type === subject.type) &&
      (match.patient === undefined || patient === subject.patientId) &&
      (match.id === undefined || match.id === subject.id) &&
      (match.query === undefined || subject.query.includes(match.query)) &&
      (match.page === undefined || match.page === subject.page)
    );
  };
  const isTime = ({ fromSeconds = 0, forSeconds = Infinity }: FaultWhen) => {
    const seconds = (now() - setAtMs) / 1000;
    return seconds >= fromSeconds && seconds < fromSeconds + forSeconds;
  };
  const strikes = (when: FaultWhen, count: number, index: number) =>
    isTime(when) &&
    (when.nth === undefined || when.nth.includes(count)) &&
    (when.every === undefined || count % when.every === 0) &&
    (when.first === undefined || count <= when.first) &&
    (when.after === undefined || count > when.after) &&
    (when.probability === undefined || draw(seed, index, count, 13) / 0x100000000 < when.probability);

  return {
    rules,
    struck,
    decide(subject) {
      let decided: number | undefined;
      rules.forEach((rule, index) => {
        if ('smtp' in rule.then || 'smtpNoStarttls' in rule.then || !fits(rule, subject)) return;
        const key = rule.when?.perUrl === true ? subject.url : '';
        const count = (counts[index]?.get(key) ?? 0) + 1;
        counts[index]?.set(key, count);
        if (strikes(rule.when ?? {}, count, index)) decided ??= index;
      });
      if (decided === undefined) return undefined;
      struck[decided]! += 1;
      return rules[decided]?.then;
    },
  };
}
