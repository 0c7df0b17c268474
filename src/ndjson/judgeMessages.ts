import type { LastVerdict, Verdict } from './fileJudge.ts';

/** What is asked of the thread that judges: each question but the last has one answer, in the order of the questions. */
export type Question =
  | { readonly ask: 'block'; readonly fileNo: number; readonly block: Uint8Array }
  | { readonly ask: 'end'; readonly fileNo: number }
  /** A file begins. No answer. */
  | { readonly ask: 'begin'; readonly fileNo: number; readonly resourceType: string | undefined }
  /** Nothing more is asked about a file that did not end. No answer. */
  | { readonly ask: 'drop'; readonly fileNo: number };

/** `wrong`: the message of a BULK_FILE_MALFORMED, since an error's class does not pass between threads. */
export type Answer = Verdict | LastVerdict | { readonly wrong: string };
