import { ERROR_CODES, type ErrorCode, type FailureClass } from './errorCodes.ts';

/**
 * The one error type. Decisions switch on `code` (errorCodes.ts) and `failure`, never on message text.
 */

export { ERROR_CODES };
export type { ErrorCode, FailureClass };

/** One thing that is wrong in a file that a person writes. */
export interface Problem {
  /** `file:line [section] key`, `file:line:column`, or the name of what is wrong. */
  readonly where: string;
  /** What is wrong and what to write instead. */
  readonly what: string;
}

export interface RoundsErrorOptions {
  readonly cause?: unknown;
  /** Replaces the code's own hint where more is known. */
  readonly hint?: string;
  /** Replaces the code's own class where more is known (an EAUTH that is transient, say). */
  readonly failure?: FailureClass;
  readonly problems?: readonly Problem[];
  /** HTTP status, where there was one. */
  readonly status?: number;
  /** Epic's OperationOutcome code, such as `4101`. */
  readonly epicCode?: string;
  /** How long the server asked us to wait. */
  readonly retryAfterMs?: number;
}

/**
 * The only error this program throws on purpose. What to do stands on `code` and `failure`, never on the message; `hint` is
 * for a person. No error holds a patient's name or id, a token or a key, so that it may be logged as it is.
 *
 * @example
 * import { createClient, RoundsError } from 'fhir-rounds';
 *
 * const client = await createClient({
 *   endpoint: 'https://ehr.example.org/api/FHIR/R4',
 *   clientId: 'my-client-id',
 *   privateKeyFile: 'private-key.pem',
 * });
 * try {
 *   await client.read('Patient', 'no-such-patient');
 * } catch (error) {
 *   if (!(error instanceof RoundsError)) throw error;
 *   console.log(error.failure, error.status, error.hint !== ''); //=> permanent 404 true
 * } finally {
 *   await client.close();
 * }
 */
export class RoundsError extends Error {
  override readonly name = 'RoundsError';
  readonly code: ErrorCode;
  readonly failure: FailureClass;
  readonly hint: string;
  readonly problems: readonly Problem[];
  readonly status: number | undefined;
  readonly epicCode: string | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(code: ErrorCode, message: string, options: RoundsErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.failure = options.failure ?? ERROR_CODES[code].failure;
    this.hint = options.hint ?? ERROR_CODES[code].hint;
    this.problems = options.problems ?? [];
    this.status = options.status;
    this.epicCode = options.epicCode;
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** Throws one `code` error that carries all problems at once, or returns when there are none. */
export function throwIfProblems(code: ErrorCode, problems: readonly Problem[]): void {
  if (problems.length === 0) return;
  const lines = problems.map((p) => `${p.where}: ${p.what}`);
  throw new RoundsError(code, lines.join('\n'), { problems });
}

/** Any thrown value as a RoundsError; what is not ours becomes INTERNAL, with no text of a foreign error lost. */
export function asRoundsError(error: unknown): RoundsError {
  if (error instanceof RoundsError) return error;
  const fileError = asDiskError(error);
  if (fileError !== undefined) return fileError;
  const name = error instanceof Error ? error.name : typeof error;
  return new RoundsError('INTERNAL', `unexpected ${name}`, { cause: error });
}

const NO_SPACE: readonly string[] = ['ENOSPC', 'EDQUOT'];
const NO_USE: readonly string[] = ['EACCES', 'EPERM', 'EROFS', 'EIO', 'EXDEV', 'EMFILE', 'ENFILE', 'ENOTDIR'];

/** A file system's failure that reached the end unnamed: a full disk strikes anywhere. */
function asDiskError(error: unknown): RoundsError | undefined {
  const { code, syscall, path } = (error ?? {}) as NodeJS.ErrnoException;
  if (typeof code !== 'string' || typeof syscall !== 'string') return undefined;
  if (NO_SPACE.includes(code)) {
    return new RoundsError(
      'DISK_FULL',
      `no space left${path === undefined ? '' : ` while writing ${path}`}`,
      {
        cause: error,
      },
    );
  }
  if (path === undefined || !NO_USE.includes(code)) return undefined;
  return new RoundsError('PATH_UNUSABLE', `${path}: ${code}`, { cause: error });
}
