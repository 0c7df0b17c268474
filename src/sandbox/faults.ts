import { readFile } from 'node:fs/promises';
import { throwIfProblems, type Problem } from '../errors.ts';
import { BULK_ACTIONS, BULK_ENDPOINTS, type BulkFaultAction } from './bulk/faultActions.ts';
import type { SmtpFault } from './smtpFaults.ts';

/** Where a fault may strike. `search` is a first page, `page` every later one; for the rest see bulk/. */
export const FAULT_ENDPOINTS = [
  'token',
  'metadata',
  'smart',
  'read',
  'search',
  'page',
  'smtp',
  ...BULK_ENDPOINTS,
] as const;
export type FaultEndpoint = (typeof FAULT_ENDPOINTS)[number];

/** Which requests: all that is given must fit. An empty match fits every request. */
export interface FaultMatch {
  readonly endpoint?: FaultEndpoint;
  /** Resource type. */
  readonly type?: string;
  /** Ordinal or logical id of the patient searched or read. */
  readonly patient?: number | string;
  /** Logical id of what is read. */
  readonly id?: string;
  /** A piece of the decoded query (or search form), as `name=value&name=value`. */
  readonly query?: string;
  /** Page of a search, of a manifest, or number of an export's file, from 1. */
  readonly page?: number;
}

/** Which of the matching requests, counted from 1: all that is given must hold. Without it: every one. */
export interface FaultWhen {
  readonly nth?: readonly number[];
  readonly every?: number;
  readonly first?: number;
  readonly after?: number;
  /** 0 to 1, drawn from the sandbox's seed: repeatable. */
  readonly probability?: number;
  /** Count each URL by itself, so that `first: 2` fails every URL twice. */
  readonly perUrl?: boolean;
  /** Only so many seconds after the script was set, by the server's clock, and from then on for so many. */
  readonly fromSeconds?: number;
  readonly forSeconds?: number;
}

/** `Retry-After`: seconds, an HTTP date so many seconds ahead, that time as seconds since 1970, or any text. */
export type RetryAfter =
  number | { readonly httpDateInSeconds: number } | { readonly epochInSeconds: number } | string;

export type FaultAction =
  /** This status, with an OperationOutcome of an Epic code, a given body, or none. */
  | {
      readonly status: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: string;
      readonly outcome?: string;
      /** The outcome's `issue.code` instead of its usual one: `transient`, say. */
      readonly issueCode?: string;
      readonly retryAfter?: RetryAfter;
    }
  /** The connection is reset before an answer. */
  | { readonly reset: true }
  /** Never answers, until the socket closes. */
  | { readonly hang: true }
  /** The right answer, at so many bytes a second. */
  | { readonly dripBytesPerSecond: number }
  /** The connection ends inside the body: after a fraction (up to 1) or so many bytes (above 1). */
  | { readonly cutBodyAt: number }
  /** The body ends early and the Content-Length agrees. */
  | { readonly badJson: true }
  /** 200 with a web page. */
  | { readonly html: true }
  /** The right body under another type. */
  | { readonly contentType: string }
  /** The right answer with further headers. */
  | { readonly addHeaders: Readonly<Record<string, string>> }
  /** 200 without a body. */
  | { readonly emptyBody: true }
  /** A gzip body that ends early. */
  | { readonly gzipCut: true }
  /** A gzip body that grows to so many megabytes. */
  | { readonly gzipBombMegabytes: number }
  /** The first entry twice in a page, the same or differing in its bytes; or, on a later page, the search's first. */
  | { readonly duplicateEntry: true | 'differing' | 'earlier' | 'earlier-differing' }
  /** A further entry that belongs to another patient, or is of another type. */
  | { readonly foreignEntry: 'patient' | 'type' }
  /** A further outcome entry of this Epic code. */
  | { readonly outcomeEntry: string }
  /** 200 with a bare OperationOutcome where a Bundle or a resource is due. */
  | { readonly onlyOutcome: true }
  /** A wrong `next` link: the page itself, a circle of pages, another origin, an ended session. */
  | {
      readonly next: 'self' | 'cycle' | 'foreign' | 'expired';
      readonly cycleLength?: number;
      readonly origin?: string;
    }
  /** 302 to this URL. */
  | { readonly redirectTo: string }
  /** Token answers: another life, a scope left out. */
  | { readonly tokenLifeSeconds: number }
  | { readonly dropScope: string }
  /** What the mail server does (see smtpFaults.ts); of `when` it knows `nth` and `first`. */
  | { readonly smtp: SmtpFault['then'] }
  | { readonly smtpNoStarttls: true }
  | BulkFaultAction;

export interface FaultRule {
  readonly match: FaultMatch;
  readonly when?: FaultWhen;
  readonly then: FaultAction;
}

type Check = (value: unknown) => boolean;
const isNumber: Check = (value) => typeof value === 'number' && Number.isFinite(value) && value >= 0;
const isText: Check = (value) => typeof value === 'string';
const isTrue: Check = (value) => value === true;
const oneOf =
  (...choices: readonly unknown[]): Check =>
  (value) =>
    choices.includes(value);

const MATCH: Readonly<Record<string, Check>> = {
  endpoint: oneOf(...FAULT_ENDPOINTS),
  type: isText,
  patient: (value) => isNumber(value) || isText(value),
  id: isText,
  query: isText,
  page: isNumber,
};
const WHEN: Readonly<Record<string, Check>> = {
  nth: (value) => Array.isArray(value) && value.every(isNumber),
  every: (value) => isNumber(value) && value !== 0,
  first: isNumber,
  after: isNumber,
  probability: (value) => isNumber(value) && (value as number) <= 1,
  perUrl: (value) => typeof value === 'boolean',
  fromSeconds: isNumber,
  forSeconds: isNumber,
};
/** The member that names an action, and what may stand beside it. */
const ACTIONS: Readonly<Record<string, readonly [Check, Readonly<Record<string, Check>>?]>> = {
  status: [
    (value) => Number.isInteger(value) && (value as number) >= 200 && (value as number) <= 599,
    {
      headers: (value) => typeof value === 'object',
      body: isText,
      outcome: isText,
      issueCode: isText,
      retryAfter: () => true,
    },
  ],
  reset: [isTrue],
  hang: [isTrue],
  dripBytesPerSecond: [(value) => isNumber(value) && (value as number) > 0],
  cutBodyAt: [isNumber],
  badJson: [isTrue],
  html: [isTrue],
  contentType: [isText],
  addHeaders: [(value) => typeof value === 'object' && value !== null],
  emptyBody: [isTrue],
  gzipCut: [isTrue],
  gzipBombMegabytes: [isNumber],
  duplicateEntry: [oneOf(true, 'differing', 'earlier', 'earlier-differing')],
  foreignEntry: [oneOf('patient', 'type')],
  outcomeEntry: [isText],
  onlyOutcome: [isTrue],
  next: [oneOf('self', 'cycle', 'foreign', 'expired'), { cycleLength: isNumber, origin: isText }],
  redirectTo: [isText],
  tokenLifeSeconds: [isNumber],
  dropScope: [isText],
  smtp: [(value) => typeof value === 'object' && value !== null],
  smtpNoStarttls: [isTrue],
  ...BULK_ACTIONS,
};

function checkMembers(
  value: unknown,
  rules: Readonly<Record<string, Check>>,
  where: string,
  problems: Problem[],
) {
  if (typeof value !== 'object' || value === null) {
    problems.push({ where, what: 'must be an object' });
    return;
  }
  for (const [name, member] of Object.entries(value)) {
    const check = rules[name];
    if (!check)
      problems.push({ where, what: `unknown member ${name}; known: ${Object.keys(rules).join(', ')}` });
    else if (!check(member)) problems.push({ where, what: `${name} has a value that is not allowed` });
  }
}

/** A fault script from parsed JSON. Throws CONFIG_INVALID with every problem at once. */
export function parseFaults(value: unknown): readonly FaultRule[] {
  const problems: Problem[] = [];
  if (!Array.isArray(value)) {
    throwIfProblems('CONFIG_INVALID', [{ where: 'fault script', what: 'must be a list of rules' }]);
    return [];
  }
  value.forEach((rule: { match?: unknown; when?: unknown; then?: unknown } | null, index) => {
    const where = `fault rule ${index + 1}`;
    checkMembers(rule, { match: () => true, when: () => true, then: () => true }, where, problems);
    checkMembers(rule?.match, MATCH, `${where} match`, problems);
    if (rule?.when !== undefined) checkMembers(rule.when, WHEN, `${where} when`, problems);
    const then = (rule?.then ?? {}) as Record<string, unknown>;
    const isSmtp = 'smtp' in then || 'smtpNoStarttls' in then;
    if (isSmtp && Object.keys(rule?.when ?? {}).some((name) => name !== 'nth' && name !== 'first')) {
      problems.push({ where: `${where} when`, what: 'a mail fault knows nth and first only' });
    }
    const named = Object.keys(then).filter((name) => name in ACTIONS);
    const [name] = named;
    const action = name === undefined ? undefined : ACTIONS[name];
    if (name === undefined || action === undefined || named.length !== 1) {
      problems.push({ where, what: `then must name one action of: ${Object.keys(ACTIONS).join(', ')}` });
    } else {
      checkMembers(then, { [name]: action[0], ...action[1] }, `${where} then`, problems);
    }
  });
  throwIfProblems('CONFIG_INVALID', problems);
  return value as readonly FaultRule[];
}

/** A fault script from a JSON file. Throws CONFIG_INVALID, or the file system's error. */
export async function readFaults(path: string): Promise<readonly FaultRule[]> {
  return parseFaults(JSON.parse(await readFile(path, 'utf8')));
}

/** The rules of a script that concern the mail server, in its own form. */
export function smtpFaultsOf(rules: readonly FaultRule[]): readonly SmtpFault[] {
  return rules.flatMap(({ when, then }): SmtpFault[] => {
    const action: SmtpFault['then'] | undefined =
      'smtp' in then ? then.smtp : 'smtpNoStarttls' in then ? { noStarttls: true } : undefined;
    if (action === undefined) return [];
    const { nth, first } = when ?? {};
    if (nth === undefined && first === undefined) return [{ then: action }];
    return [{ when: { ...(nth ? { nth } : {}), ...(first === undefined ? {} : { first }) }, then: action }];
  });
}
