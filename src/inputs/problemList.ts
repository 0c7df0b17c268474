import { RoundsError, throwIfProblems } from '../errors.ts';
import type { Problem } from '../errors.ts';

/** Problems listed in full; a file with more is damaged as a whole, and its list would only be long. */
const LISTED = 50;

/** Problems of one input file, of which the first 50 are kept and the rest counted. */
export class ProblemList {
  readonly #file: string;
  readonly #kept: Problem[] = [];
  #total = 0;

  /** @param file the file's name, as it stands in messages */
  constructor(file: string) {
    this.#file = file;
  }

  get total(): number {
    return this.#total;
  }

  /** Whether further problems are only counted. */
  get isFull(): boolean {
    return this.#kept.length === LISTED;
  }

  /** The problems kept and, when there were more, how many. */
  get listed(): readonly Problem[] {
    const more = this.#total - this.#kept.length;
    return more === 0 ? this.#kept : [...this.#kept, { where: this.#file, what: `... and ${more} more` }];
  }

  /** @param column number of the field in its row, from 1; left out when the whole row is meant */
  add(line: number, column: number | undefined, what: string): void {
    this.#total++;
    if (this.#kept.length === LISTED) return;
    const at = column === undefined ? '' : `:${column}`;
    this.#kept.push({ where: `${this.#file}:${line}${at}`, what });
  }

  /** @throws RoundsError INPUT_INVALID with all of them, when there are any */
  throwIfAny(): void {
    throwIfProblems('INPUT_INVALID', this.listed);
  }
}

/** Throws INPUT_INVALID about a file as a whole or one of its lines. */
export function refuseInput(where: string, what: string): never {
  throw new RoundsError('INPUT_INVALID', `${where}: ${what}`, { problems: [{ where, what }] });
}
