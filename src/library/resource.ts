/** A FHIR resource and its exact bytes. It holds PHI: whatever prints or logs it prints a patient's record. */
export interface Resource {
  /** `resourceType`. */
  readonly type: string;
  /** Logical id; undefined only for a line of an NDJSON file that has none. */
  readonly id: string | undefined;
  /**
   * The server's own bytes (UTF-8, on one line; of white space between tokens nothing is left). They may be a part of
   * the memory of a whole page: copy with `Buffer.from(bytes)` what is kept for long.
   */
  readonly bytes: Buffer;
  /** The same as text. */
  readonly text: string;
  /**
   * Parsed, anew at each call. Numbers lose their form in JavaScript: 1.50 becomes 1.5, and an integer past 2^53
   * another one; what is to be stored or compared is `text` or `bytes`. `T` is the caller's word for its shape.
   */
  json<T = Record<string, unknown>>(): T;
}

/** A resource that a server answered with. */
export interface ServedResource extends Resource {
  readonly id: string;
}

/** A resource of a searchset. */
export interface FoundResource extends ServedResource {
  /** Whether it was searched for, or came along (`_include`, `_revinclude`). */
  readonly mode: 'match' | 'include';
}

/** Around bytes that nobody changes any more. */
export function resourceOf<I extends string | undefined>(
  type: string,
  id: I,
  bytes: Buffer,
): Resource & { readonly id: I } {
  return {
    type,
    id,
    bytes,
    get text() {
      return bytes.toString('utf8');
    },
    json: <T>() => JSON.parse(bytes.toString('utf8')) as T,
  };
}
