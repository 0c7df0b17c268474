/** A queue for each name: work of one name is done one after the other, in the order in which it was asked for. */
export class Turns {
  readonly #last = new Map<string, Promise<unknown>>();

  /** Does `work` when all that was asked for before under this name has ended; throws what it throws. */
  take<T>(name: string, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(name) ?? Promise.resolve();
    const mine = before.then(work);
    this.#last.set(
      name,
      mine.catch(() => undefined),
    );
    return mine;
  }
}
