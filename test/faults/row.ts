import type { ErrorCode } from '../../src/errors.ts';
import type { SmtpFault } from '../../src/sandbox/smtp.ts';
import type { FaultRule, Sandbox, SandboxOptions } from '../../src/sandbox/startSandbox.ts';
import type { Site, SiteSettings } from '../support/site.ts';

/** A row of the fault matrix: what goes wrong, and what can be seen of it afterwards. README's table is made of them. */
export interface FaultRow {
  /** Goes on from "When ...". */
  readonly title: string;
  /** What happens, as the README says it. */
  readonly result: string;
  /** Default: three patients. `data`: resources by type, instead of generated ones. */
  readonly sandbox?: Omit<SandboxOptions, 'dataDir' | 'faults' | 'smtp' | 'now'>;
  readonly data?: () => Readonly<Record<string, readonly (object | string)[]>>;
  /** Default: every patient by id. */
  readonly roster?: (sandbox: Sandbox) => string;
  /** Patients that the oracle is asked for; default all. */
  readonly rosterOrdinals?: readonly number[];
  readonly types?: readonly string[];
  /** The job pulls by bulk exports of Epic's group. */
  readonly bulk?: true;
  readonly settings?: SiteSettings;
  readonly faults?: readonly FaultRule[] | ((sandbox: Sandbox, trap: Sandbox) => readonly FaultRule[]);
  /** Another server that the faults lead to; it must never be asked anything. */
  readonly trap?: boolean;
  /** What befalls the mail; without it the mails stay in the outbox, since nobody listens. */
  readonly mail?: MailTrouble;
  /** Also run as a process of its own, by the real clock. */
  readonly asProcess?: boolean;
  readonly expect: Expected;
}

/** Reports are sent, and none arrives until the trouble is over; then they all go. */
export interface MailTrouble {
  /** What the mail server does wrong. */
  readonly faults?: readonly SmtpFault[];
  /** Trouble on the way to it: makes it, and returns the settings that lead there. */
  readonly settings?: (site: Site) => Promise<SiteSettings>;
  /** Why the mail waits: tried again by itself, or held until a person acts. */
  readonly waits: { readonly code: ErrorCode; readonly held: boolean };
  /** Logins that were tried during the trouble; every one of them over TLS. */
  readonly logins: number;
}

/** What takes more than one run, or a process of its own, and so tells itself. */
export interface FaultStory {
  readonly title: string;
  readonly result: string;
  /** Returns the site that it befell, for the canary. */
  readonly tell: () => Promise<Site>;
}

export type Range = readonly [least: number, most: number];

export interface Expected {
  readonly exit: 0 | 1 | 3;
  /** Why nothing was published. */
  readonly failure?: string;
  /** Every cause of the report as `gap Condition HTTP_FORBIDDEN`, with `/4134` where Epic gave a code. Default none. */
  readonly causes?: readonly string[];
  /** What the server withheld: the published set is the oracle's without it. */
  readonly withheld?: readonly { readonly type: string; readonly patients?: readonly number[] }[];
  /** Types of which a part came, and was kept. */
  readonly partOf?: readonly string[];
  /** Requests at the server, tokens and `/metadata` included. */
  readonly requests?: Range;
  readonly tokens?: Range;
  /** Answers by status. */
  readonly statuses?: Readonly<Record<string, Range>>;
  /** The run's own time, in s. */
  readonly seconds?: Range;
  /** No worker asks anything for so many seconds, once, and the most is still to come. */
  readonly pauseSeconds?: number;
  /** TCP connections, of all requests together. */
  readonly connections?: Range;
  readonly duplicates?: { readonly same: number; readonly differing: number };
  /** Pieces of the report's text. */
  readonly says?: readonly (string | RegExp)[];
  /** What the report must not say. */
  readonly saysNot?: readonly RegExp[];
  /** `--retry-failed`, once the fault is gone, brings what failed. Default: whenever something failed. */
  readonly recovers?: boolean;
}
