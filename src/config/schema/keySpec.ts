/**
 * How one key of the INI is described. The tables in this folder are the single source: the types, the loader,
 * the example INI and the reference are all derived from them.
 */

/**
 * What a key's text may be:
 * - `folder`, `file`: a path, relative to app_folder_name; `url`: https, or http towards loopback;
 * - `proxy`: an http or https URL, which may hold user and password;
 * - `template`: a file name with `${ResourceType}` and `${Timestamp}`;
 * - `hours`: one or more `HH:MM-HH:MM`, separated by commas; `cron`: five fields, or six with seconds;
 * - `address`, `addresses`: one or several mail addresses; `list`: words separated by commas.
 */
export type KeyKind =
  | 'string'
  | 'folder'
  | 'file'
  | 'integer'
  | 'number'
  | 'boolean'
  | 'enum'
  | 'list'
  | 'address'
  | 'addresses'
  | 'host'
  | 'cron'
  | 'timezone'
  | 'hours'
  | 'url'
  | 'proxy'
  | 'template';

export interface KeySpec {
  readonly kind: KeyKind;
  /** One or two plain sentences: what it does. */
  readonly text: string;
  /** As one would write it in the INI; without one and not `required`, an unset key is `undefined`. */
  readonly default?: string;
  /** Replaces `default` in the reference where that is worked out at loading. */
  readonly defaultText?: string;
  /** Must be given (in an optional section: when the section is there). */
  readonly required?: true;
  /** Never printed, hashed, logged or interpolated; may be read from a file with `<key>_file`. */
  readonly secret?: true;
  /** Shapes what is asked of the server or what is stored: part of the run's snapshot and of configHash. */
  readonly pull?: true;
  /** Holds for the whole program, so a [job] cannot change it. */
  readonly wide?: true;
  /** Unit of a number. */
  readonly unit?: string;
  readonly min?: number;
  readonly max?: number;
  /** The words of an `enum`. */
  readonly values?: readonly string[];
  /** A realistic value for the example INI and for messages. */
  readonly example?: string;
}

export interface SectionSpec {
  readonly text: string;
  /** An absent section is `undefined` in the settings: no [email], no mail. */
  readonly optional?: true;
  readonly keys: Readonly<Record<string, KeySpec>>;
}
