import { asRoundsError, RoundsError } from '../errors.ts';
import type { FetchedPage, FhirClient, SearchParameters } from '../fhir/client.ts';
import {
  belongsTo,
  type ReadReferences,
  type RecordName,
  type ResourceReferences,
} from '../fhir/references.ts';
import type { SearchsetEntry } from '../fhir/searchset.ts';
import type { SearchedType } from '../run/plan.ts';
import type { SnapshotSettings } from '../run/snapshot.ts';
import type { Cause, Outcome } from '../run/tally.ts';
import { causeOf, isFinalAnswer, isServersDoing, MAX_RESTARTS, needsRestart } from './causes.ts';
import type { FinishedSearch } from './finished.ts';
import type { Identity, PatientIdentity } from './identity.ts';
import { KeptResources, type MemoryBudget } from './keptResources.ts';
import { watchPages } from './pageWatch.ts';

/** One patient x one type with all its filters: the unit of work, of retry and of resume. */
export interface Search {
  readonly searchNo: number;
  readonly type: SearchedType;
  readonly identity: PatientIdentity;
}

export interface CrawlOptions {
  readonly client: FhirClient;
  readonly settings: SnapshotSettings;
  readonly readReferences: ReadReferences;
  readonly spoolFolder: string;
  readonly budget: MemoryBudget;
  /** Whether records of this type are pulled where they are referred to. */
  readonly isReferenced: (resourceType: string) => boolean;
}

/**
 * Pulls one search to its end. Never throws for what the server does: that is the search's outcome. What is thrown
 * (an abort, a full disk) stops the run.
 */
export async function pullSearch(search: Search, options: CrawlOptions): Promise<FinishedSearch> {
  const kept = new KeptResources(options.spoolFolder, `search-${search.searchNo}`, options.budget);
  const pull = new SearchPull(search, options, kept);
  try {
    return await pull.run();
  } catch (thrown) {
    await kept.clear();
    const error = asRoundsError(thrown);
    if (!isServersDoing(error)) throw thrown;
    return pull.finished('failed', causeOf(error));
  }
}

class SearchPull {
  readonly #search: Search;
  readonly #options: CrawlOptions;
  readonly #kept: KeptResources;
  readonly #wanted = new Map<string, RecordName>();
  readonly #warnings = new Set<string>();
  /** Whether another search of the plan may bring what this one matches, as an include. */
  readonly #mayComeAlong: boolean;
  /** The first permanent refusal; what came is kept. */
  #gap: Cause | undefined;

  constructor(search: Search, options: CrawlOptions, kept: KeptResources) {
    this.#search = search;
    this.#options = options;
    this.#kept = kept;
    this.#mayComeAlong = options.settings.plan.searched.some(
      ({ includes }) => includes.includes('*') || includes.includes(search.type.resourceType),
    );
  }

  async run(): Promise<FinishedSearch> {
    for (let restarts = 0; ; restarts++) {
      try {
        return await this.#pullAll();
      } catch (thrown) {
        const error = asRoundsError(thrown);
        if (!needsRestart(error) || restarts >= MAX_RESTARTS) throw thrown;
        await this.#kept.clear();
        this.#wanted.clear();
        this.#gap = undefined;
      }
    }
  }

  async #pullAll(): Promise<FinishedSearch> {
    const identity = await this.#whoIsIt();
    if (identity.kind === 'gap') return this.finished('gap', identity.cause);
    if (identity.kind === 'same') return this.#mergedAway(identity.line);
    if (this.#search.type.how === 'read') await this.#readPatient(identity.patientId);
    else {
      await this.#pullFilters(identity.patientId);
    }
    const after = await this.#whoIsIt();
    if (after.kind === 'same') return this.#mergedAway(after.line);
    if (after.kind === 'gap') this.#gap ??= after.cause;
    if (this.#gap) return this.finished('gap', this.#gap);
    return this.finished(this.#kept.count > 0 ? 'ok' : 'empty', undefined);
  }

  /** A server that refuses for good to say who an MRN or a merged record is leaves a gap, as with any other answer. */
  async #whoIsIt(): Promise<Identity> {
    try {
      return await this.#search.identity.current();
    } catch (thrown) {
      const error = asRoundsError(thrown);
      if (!isFinalAnswer(error)) throw thrown;
      return { kind: 'gap', cause: causeOf(error) };
    }
  }

  async #mergedAway(sameAsLine: number): Promise<FinishedSearch> {
    await this.#kept.clear();
    this.#wanted.clear();
    return this.finished('empty', { code: 'PATIENT_MERGED', sameAsLine });
  }

  finished(outcome: Outcome, cause: Cause | undefined): FinishedSearch {
    const rosterLine = this.#search.identity.patient.line;
    return {
      kind: 'search',
      searchNo: this.#search.searchNo,
      outcome,
      cause: cause && { ...cause, rosterLine },
      kept: this.#kept,
      // Nothing of a failed search is kept, and so nothing that it refers to is wanted.
      wanted: outcome === 'failed' ? new Map() : this.#wanted,
      warnings: [...this.#warnings],
    };
  }

  async #pullFilters(patientId: string): Promise<void> {
    const { filters, assumed } = this.#search.type;
    let refused: Cause | undefined;
    let answered = 0;
    for (const filter of filters) {
      const gapBefore = this.#gap;
      await this.#permanentIsGap(() => this.#pullFilter(patientId, filter));
      const isRefusal = this.#gap !== gapBefore && this.#gap?.code === 'FHIR_PARAMETER_REFUSED';
      if (isRefusal && assumed.includes(filter)) {
        // Sites differ in the categories they have. The list did not ask for this one, so nothing is missing ...
        refused = this.#gap;
        this.#gap = gapBefore;
        this.#warnings.add('filter-refused');
      } else answered++;
    }
    // ... unless the site refuses them all.
    if (answered === 0) this.#gap ??= refused;
  }

  async #permanentIsGap(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (thrown) {
      const error = asRoundsError(thrown);
      if (!isFinalAnswer(error)) throw thrown;
      this.#gap ??= causeOf(error);
    }
  }

  async #readPatient(patientId: string): Promise<void> {
    await this.#permanentIsGap(async () => {
      const patient = await this.#options.client.read('Patient', patientId);
      await this.#takeEntries([{ ...patient, mode: 'match' }]);
    });
  }

  async #pullFilter(patientId: string, filter: string): Promise<void> {
    const { client, settings } = this.#options;
    const { type } = this.#search;
    const parameters: SearchParameters = [
      [type.parameter, patientId],
      ...new URLSearchParams(filter),
      ['_count', String(settings.pageSize)],
    ];
    let fetched = await client.search(type.resourceType, parameters);
    const watch = watchPages(settings.maxPages);
    for (;;) {
      const isNew = await this.#takePage(fetched);
      const { next } = fetched.page;
      if (next === undefined) return;
      watch(next, isNew);
      fetched = await client.nextPage(next, fetched.url);
    }
  }

  /** Whether the page brought anything new. */
  async #takePage({ page, verdict }: FetchedPage): Promise<boolean> {
    for (const code of verdict.warnings) this.#warnings.add(code);
    if (verdict.gap) this.#gap ??= verdict.gap;
    if (verdict.merged) await this.#search.identity.merged();
    return this.#takeEntries(page.entries);
  }

  async #takeEntries(entries: readonly SearchsetEntry[]): Promise<boolean> {
    let identity = await this.#search.identity.current();
    let isNew = false;
    for (const entry of entries) {
      if (!this.#isAskedFor(entry)) {
        this.#warnings.add('include-not-asked-for');
        continue;
      }
      const references = this.#options.readReferences(entry);
      // Nothing is waited for between two resources, but where one names another patient.
      let belongs = whose(references, identity);
      if (belongs === 'foreign') {
        identity = await this.#search.identity.merged();
        belongs = whose(references, identity);
      }
      if (this.#keep(entry, references, belongs)) isNew = true;
    }
    await this.#kept.settle();
    return isNew;
  }

  #isAskedFor({ mode, resourceType }: SearchsetEntry): boolean {
    const { type } = this.#search;
    if (mode === 'include') return type.includes.includes('*') || type.includes.includes(resourceType);
    if (resourceType === type.resourceType) return true;
    throw new RoundsError('FHIR_FOREIGN_TYPE', `a search of ${type.resourceType} brought another type`);
  }

  /** Whether it was new. Throws FHIR_FOREIGN_PATIENT. */
  #keep(found: SearchsetEntry, { others }: ResourceReferences, belongs: ReturnType<typeof whose>): boolean {
    if (belongs === 'nobody') return false;
    if (belongs === 'foreign') {
      throw new RoundsError('FHIR_FOREIGN_PATIENT', 'a search of one patient brought another’s resource');
    }
    for (const record of others) {
      if (this.#options.isReferenced(record.resourceType)) {
        this.#wanted.set(`${record.resourceType}/${record.resourceId}`, record);
      }
    }
    // What comes along with a search may come along with another one too, or be the match of its own.
    const isOwn = found.mode === 'match' && belongs === 'patient' && !this.#mayComeAlong;
    return this.#kept.add(found, isOwn ? 'search' : 'run');
  }
}

/** Whose a resource is, seen from the search of one patient; `nobody`: the search brings nothing, so it does not matter. */
function whose(references: ResourceReferences, identity: Identity): ReturnType<typeof belongsTo> | 'nobody' {
  if (identity.kind !== 'patient') return 'nobody';
  const { patientId, survivorId } = identity;
  const belongs = belongsTo(references, survivorId);
  return belongs === 'foreign' && patientId !== survivorId ? belongsTo(references, patientId) : belongs;
}
