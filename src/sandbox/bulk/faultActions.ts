/**
 * What goes wrong in an export, as data of the fault script. Besides these actions all others that fit strike
 * here too: `status` (429, 503, a transient outcome, 202 with an odd `Retry-After`), `reset`, `hang`,
 * `cutBodyAt`, `badJson`, `gzipCut`, `dripBytesPerSecond`, `onlyOutcome` (200 with an OperationOutcome) ...
 */

/**
 * `kickoff`; `status`, a status request that is answered 202, and `manifest`, one that is answered 200 (with the
 * manifest's page); `file`, a download (its type: the output's, `Bundle` for deletions, `OperationOutcome`; its page:
 * number of the file in the export); `cancel`, the DELETE of an export.
 */
export const BULK_ENDPOINTS = ['kickoff', 'status', 'manifest', 'file', 'cancel'] as const;

/** A line put into the middle of a file. `duplicate`: the first line of its type's first file, with other bytes or not. */
export const INSERTED_LINES = [
  'blank',
  'not-json',
  'cut-json',
  'list',
  'other-type',
  'duplicate',
  'duplicate-differing',
] as const;

export type BulkFaultAction =
  /** The export fails for good with an OperationOutcome of this Epic code; of a status or manifest request. */
  | { readonly exportFails: string }
  /** Members that this manifest leaves out. */
  | { readonly manifestWithout: readonly string[] }
  /** Every `count` of this manifest is wrong by so much. */
  | { readonly wrongCountBy: number }
  /** Every file of this manifest stands there twice, with the same URL. */
  | { readonly listedTwice: true }
  /** The status URL (kickoff), the files (manifest) or the place of a redirect (file) is at the other origin. */
  | { readonly toOtherOrigin: true }
  /** The file has one more line, and the manifest does not count it. */
  | { readonly insertLine: (typeof INSERTED_LINES)[number] }
  /** The file lacks its last so many lines: whole lines, and a length that agrees. */
  | { readonly dropLines: number }
  /** Lines end in CR LF; there is no line feed at the end; a byte order mark at the start. */
  | { readonly lineForm: 'crlf' | 'no-final-newline' | 'bom' }
  /** `Range` is answered with the whole (200), with 416, or with another part than was asked for. */
  | { readonly range: 'ignored' | 'refused' | 'wrong' }
  /** The ETag differs from the one before, as of a file that was made anew. */
  | { readonly etagChanged: true };

type Check = (value: unknown) => boolean;
const isTrue: Check = (value) => value === true;
const isInteger: Check = (value) => Number.isInteger(value);
const oneOf =
  (...choices: readonly string[]): Check =>
  (value) =>
    choices.includes(value as string);

/** The members that name these actions, with what they may say. */
export const BULK_ACTIONS: Readonly<Record<string, readonly [Check]>> = {
  exportFails: [(value) => typeof value === 'string'],
  manifestWithout: [(value) => Array.isArray(value)],
  wrongCountBy: [isInteger],
  listedTwice: [isTrue],
  toOtherOrigin: [isTrue],
  insertLine: [oneOf(...INSERTED_LINES)],
  dropLines: [isInteger],
  lineForm: [oneOf('crlf', 'no-final-newline', 'bom')],
  range: [oneOf('ignored', 'refused', 'wrong')],
  etagChanged: [isTrue],
};
