import { crc32 } from 'node:zlib';
import { asRoundsError, RoundsError } from '../errors.ts';
import type { FetchedPage, FhirClient, SearchParameters } from '../fhir/client.ts';
import { belongsTo, type ReadReferences } from '../fhir/references.ts';
import { includedTypesOf } from '../fhir/searchRules.ts';
import type { SearchsetEntry } from '../fhir/searchset.ts';
import { isFinalAnswer, MAX_RESTARTS, needsRestart } from '../pull/causes.ts';
import { watchPages } from '../pull/pageWatch.ts';
import { resourceOf, type FoundResource } from './resource.ts';

/** What is searched for: one search of one type, or several whose results are one. */
export interface SearchPlan {
  readonly resourceType: string;
  readonly filters: readonly {
    readonly parameters: SearchParameters;
    /** Nobody asked for this one by name: where a server refuses it, nothing is missing. */
    readonly assumed: boolean;
  }[];
  /** Whose records alone may come. */
  readonly patientId: string | undefined;
}

export interface SearchDeps {
  readonly pageSize: number;
  /** 0: all. */
  readonly maxPages: number;
  readonly readReferences: ReadReferences;
  readonly signal: AbortSignal;
  /** Asks the server, and lets go as soon as the signal is aborted. */
  readonly ask: <T>(question: (client: FhirClient) => Promise<T>) => Promise<T>;
}

/**
 * Hands out what a plan finds, page by page, each type and id once. Permanent refusals and withheld parts are thrown at the
 * end, the first of them, when all else was handed out; what passes by itself is thrown at once. `warnings` takes the codes of
 * what was only remarked.
 */
export async function* pullPlan(
  plan: SearchPlan,
  deps: SearchDeps,
  warnings: Set<string>,
): AsyncGenerator<FoundResource, void, undefined> {
  const pull = new PlanPull(plan, deps, warnings);
  let gap: RoundsError | undefined;
  let refused: RoundsError | undefined;
  let answered = 0;
  for (const { parameters, assumed } of plan.filters) {
    try {
      gap = (yield* pull.pull(parameters)) ?? gap;
      answered++;
    } catch (thrown) {
      const error = asRoundsError(thrown);
      if (!isFinalAnswer(error)) throw thrown;
      if (assumed && error.code === 'FHIR_PARAMETER_REFUSED') {
        // Sites differ in the categories they have.
        refused ??= error;
        warnings.add('filter-refused');
      } else {
        answered++;
        gap ??= error;
      }
    }
  }
  if (answered === 0) gap ??= refused;
  if (gap) throw gap;
}

class PlanPull {
  readonly #plan: SearchPlan;
  readonly #deps: SearchDeps;
  readonly #warnings: Set<string>;
  /** What was handed out, with a CRC of it, by type and id. */
  readonly #found = new Map<string, number>();
  /** The patient's id as the server has it now, where it was merged into another. */
  #survivorId: string | undefined;

  constructor(plan: SearchPlan, deps: SearchDeps, warnings: Set<string>) {
    this.#plan = plan;
    this.#deps = deps;
    this.#warnings = warnings;
  }

  /** One search, begun again where it has to be. Returns what was withheld of it. */
  async *pull(
    parameters: SearchParameters,
  ): AsyncGenerator<FoundResource, RoundsError | undefined, undefined> {
    for (let restarts = 0; ; restarts++) {
      try {
        return yield* this.#pullPages(parameters);
      } catch (thrown) {
        if (!needsRestart(asRoundsError(thrown)) || restarts >= MAX_RESTARTS) throw thrown;
      }
    }
  }

  async *#pullPages(
    parameters: SearchParameters,
  ): AsyncGenerator<FoundResource, RoundsError | undefined, undefined> {
    const { ask, pageSize, maxPages, signal } = this.#deps;
    const { resourceType } = this.#plan;
    const isCounted = parameters.some(([name]) => name === '_count');
    const asked: SearchParameters = isCounted ? parameters : [...parameters, ['_count', String(pageSize)]];
    const watch = watchPages(maxPages);
    let gap: RoundsError | undefined;
    let fetched = await ask((client) => client.search(resourceType, asked, signal));
    for (;;) {
      const { page, verdict, url } = fetched;
      for (const code of verdict.warnings) this.#warnings.add(code);
      gap ??= gapOf(verdict);
      const entries = await this.#judged(page.entries, parameters);
      const fresh = entries.filter((entry) => this.#isNew(entry));
      for (const { mode, resourceType, resourceId, bytes } of fresh) {
        yield Object.assign(resourceOf(resourceType, resourceId, bytes), { mode });
      }
      const { next } = page;
      if (next === undefined) return gap;
      watch(next, fresh.length > 0);
      fetched = await ask((client) => client.nextPage(next, url, signal));
    }
  }

  /** Those that were asked for. Throws FHIR_FOREIGN_TYPE and FHIR_FOREIGN_PATIENT before anything of the page is handed out. */
  async #judged(
    entries: readonly SearchsetEntry[],
    parameters: SearchParameters,
  ): Promise<readonly SearchsetEntry[]> {
    const { resourceType } = this.#plan;
    const included = includedTypesOf([String(new URLSearchParams(parameters.map(([...pair]) => pair)))]);
    const wanted = entries.filter(({ mode, resourceType: type }) => {
      if (mode === 'match') {
        if (type === resourceType) return true;
        throw new RoundsError('FHIR_FOREIGN_TYPE', `a search of ${resourceType} brought another type`);
      }
      if (included.any || included.types.has(type)) return true;
      this.#warnings.add('include-not-asked-for');
      return false;
    });
    for (const entry of wanted) await this.#demandOwn(entry);
    return wanted;
  }

  async #demandOwn(entry: SearchsetEntry): Promise<void> {
    const { patientId } = this.#plan;
    const { ask, readReferences, signal } = this.#deps;
    if (patientId === undefined) return;
    const references = readReferences(entry);
    if (belongsTo(references, patientId) !== 'foreign') return;
    // A merged patient's records name the one that it was merged into (Epic 4107).
    this.#survivorId ??= (await ask((client) => client.read('Patient', patientId, signal))).resourceId;
    if (belongsTo(references, this.#survivorId) !== 'foreign') return;
    throw new RoundsError('FHIR_FOREIGN_PATIENT', 'a search of one patient brought another’s resource');
  }

  #isNew({ resourceType, resourceId, bytes }: SearchsetEntry): boolean {
    const key = `${resourceType}/${resourceId}`;
    const crc = crc32(bytes);
    const before = this.#found.get(key);
    if (before !== undefined && before !== crc) this.#warnings.add('copies-differ');
    if (before === undefined) this.#found.set(key, crc);
    return before === undefined;
  }
}

/** A 200 that is not the whole of the data. */
function gapOf({ gap }: FetchedPage['verdict']): RoundsError | undefined {
  if (gap === undefined) return undefined;
  const { code, epicCode } = gap;
  const said = epicCode === undefined ? '' : ` (${epicCode})`;
  const what = `the server withheld a part of what was searched for${said}`;
  return new RoundsError(code, what, { status: 200, ...(epicCode !== undefined && { epicCode }) });
}
