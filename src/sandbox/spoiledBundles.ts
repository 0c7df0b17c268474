import type { BundleDraft, BundleEntry } from './bundles.ts';
import type { FaultAction } from './faults.ts';
import { issueOf, outcomeText } from './outcomes.ts';
import { matchesOf, survivorOf, type SearchContext, type SearchPlan } from './search.ts';

/** What a fault inside a Bundle is made from. */
export interface SpoilContext {
  readonly context: SearchContext;
  readonly plan: SearchPlan;
  readonly page: number;
  /** The link to a page of this search's session. */
  pageUrl(page: number): string;
}

/** Patients looked at, from the first on, to find one whose resource does not belong here. */
const LOOK_AT = 50;

function foreignEntry(kind: 'patient' | 'type', { context, plan }: SpoilContext): BundleEntry | undefined {
  const { population, fhirBase } = context;
  const own = plan.patientId === undefined ? undefined : survivorOf(population, plan.patientId);
  const types =
    kind === 'patient' ? [plan.type] : ['Condition', 'Encounter', 'Patient'].filter((t) => t !== plan.type);
  for (let ordinal = 0; ordinal < Math.min(LOOK_AT, population.size); ordinal += 1) {
    const id = kind === 'type' ? own : population.patientIdAt(ordinal);
    if (id === undefined || (kind === 'patient' && id === own)) continue;
    for (const type of types) {
      const resource = population
        .compartment(id, type)
        .find((r) => kind === 'type' || own === undefined || !r.patients.includes(own));
      if (resource)
        return { fullUrl: `${fhirBase}/${type}/${resource.id}`, text: resource.text, mode: 'match' };
    }
  }
  return undefined;
}

/** The entry with one member more: the same type and id, other bytes. */
function differing(entry: BundleEntry): BundleEntry {
  const text = Buffer.concat([
    entry.text.subarray(0, -1),
    Buffer.from(',"implicitRules":"http://sandbox.invalid/differs"}'),
  ]);
  return { ...entry, text };
}

/** The search's first match; none on the first page, where it stands anyway. */
function earlierEntry({ context, plan, page }: SpoilContext): BundleEntry | undefined {
  const [first] = page === 1 ? [] : matchesOf(context, plan);
  if (!first) return undefined;
  return {
    fullUrl: `${context.fhirBase}/${first.type}/${first.id}`,
    text: first.text,
    mode: 'match',
  };
}

function wrongNext(
  fault: Extract<FaultAction, { next: unknown }>,
  draft: BundleDraft,
  spoil: SpoilContext,
): string {
  switch (fault.next) {
    case 'self':
      return draft.selfUrl;
    case 'cycle':
      return spoil.pageUrl((spoil.page % (fault.cycleLength ?? 2)) + 1);
    case 'foreign': {
      const own = new URL(spoil.pageUrl(spoil.page + 1));
      return `${fault.origin ?? 'http://foreign.invalid'}${own.pathname}${own.search}`;
    }
    case 'expired':
      return `${spoil.context.fhirBase}/${spoil.plan.type}?sessionID=${'0'.repeat(32)}-0&page=${spoil.page + 1}`;
  }
}

/** The page as a fault leaves it. Faults of other kinds leave it as it is. */
export function spoiledDraft(draft: BundleDraft, fault: FaultAction, spoil: SpoilContext): BundleDraft {
  const { entries } = draft;
  if ('next' in fault) return { ...draft, nextUrl: wrongNext(fault, draft, spoil) };
  if ('duplicateEntry' in fault) {
    const [first] = entries;
    const isEarlier = fault.duplicateEntry === 'earlier' || fault.duplicateEntry === 'earlier-differing';
    const again = isEarlier ? earlierEntry(spoil) : first;
    if (!again || again.mode === 'outcome') return draft;
    const differs = fault.duplicateEntry === 'differing' || fault.duplicateEntry === 'earlier-differing';
    return { ...draft, entries: [...entries, differs ? differing(again) : again] };
  }
  if ('foreignEntry' in fault) {
    const foreign = foreignEntry(fault.foreignEntry, spoil);
    return foreign ? { ...draft, entries: [...entries, foreign] } : draft;
  }
  if ('outcomeEntry' in fault) {
    const text = outcomeText([issueOf(fault.outcomeEntry)]);
    return { ...draft, entries: [...entries, { fullUrl: spoil.context.fhirBase, text, mode: 'outcome' }] };
  }
  return draft;
}
