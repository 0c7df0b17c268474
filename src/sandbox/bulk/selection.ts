import { referencesIn } from '../oracle.ts';
import { issueOf, outcomeText } from '../outcomes.ts';
import type { StoredResource } from '../population/types.ts';
import { scopeAllows } from '../scopes.ts';
import { standingRefusal, survivorOf, type SearchContext } from '../search.ts';
import type { Changes, Deletion } from './changes.ts';
import { subsetText } from './elements.ts';
import type { Members } from './groups.ts';
import type { KickoffRequest } from './kickoffRequest.ts';
import { passesFilters } from './typeFilter.ts';

/** What an export is selected from. */
export interface SelectionContext {
  readonly context: SearchContext;
  readonly changes: Changes;
  readonly members: Members;
}

/** A resource of an export: its line's text, and the patient in whose turn it comes. */
export interface Selected {
  readonly resource: StoredResource;
  readonly text: Buffer;
  readonly patientId: string | undefined;
}

const keyOf = (resource: StoredResource) => `${resource.type}/${resource.id}`;

/** Whether a type is part of the export: named in `_type`, or, without it, all but Epic's Binary. */
function wantsType({ context }: SelectionContext, request: KickoffRequest): (type: string) => boolean {
  if (request.types) return (type) => request.types?.includes(type) === true;
  return (type) =>
    context.rules.has(type) &&
    scopeAllows(request.scope, type, 'read') &&
    !(context.dialect === 'epic' && type === 'Binary');
}

/** The newest by `recorded`; of equal ones the first. */
function latestOf(provenance: readonly StoredResource[]): readonly StoredResource[] {
  const recorded = (resource: StoredResource) =>
    Date.parse((JSON.parse(resource.text.toString('utf8')) as { recorded?: string }).recorded ?? '') || 0;
  const [newest] = [...provenance].sort((a, b) => recorded(b) - recorded(a));
  return newest ? [newest] : [];
}

/** The patients of an export whose data it may hold, each once. */
function* patientsOf({ context, members }: SelectionContext, request: KickoffRequest): Iterable<string> {
  const { population } = context;
  const seen = new Set<string>();
  for (const asked of request.patients ?? members.ids()) {
    if (population.standing(asked) === undefined || standingRefusal(population, asked)) continue;
    const patientId = survivorOf(population, asked);
    if (standingRefusal(population, patientId) || seen.has(patientId)) continue;
    seen.add(patientId);
    yield patientId;
  }
}

/**
 * Every resource of an export, each type and id once, patient by patient (3.0.0, "Processing Model"): the
 * compartment's; Provenance about it; what it refers to of the types that patients share, to a fixpoint over the
 * types wanted; at system level the rest of those. `_typeFilter` goes before references are followed, the dates
 * after, so that a Practitioner who changed comes although the encounter did not change.
 */
export function* selectedResources(
  selection: SelectionContext,
  request: KickoffRequest,
): Generator<Selected, void, void> {
  const { context, changes } = selection;
  const { population, fhirBase } = context;
  const { sinceMs = -Infinity, untilMs = Infinity } = request;
  const wants = wantsType(selection, request);
  const types = population.types.filter(wants);
  const byAssociation = request.provenance !== undefined;
  const followsReferences = types.some((type) => population.unowned(type).length > 0);
  const emitted = new Set<string>();
  const isTime = (resource: StoredResource) => {
    if (request.sinceMs === undefined && request.untilMs === undefined) return true;
    const at = changes.lastUpdatedMs(resource);
    return at > sinceMs && at < untilMs;
  };
  const passes = (resource: StoredResource) => passesFilters(resource, request.filters, fhirBase);

  function* emit(resource: StoredResource, patientId: string | undefined): Iterable<Selected> {
    // What one patient alone has comes in that patient's turn only, and needs no mark; Provenance of a shared
    // appointment may come in two.
    if (resource.patients.length !== 1 || resource.type === 'Provenance') {
      if (emitted.has(keyOf(resource))) return;
      emitted.add(keyOf(resource));
    }
    const text = request.elements ? subsetText(resource, request.elements) : resource.text;
    yield { resource, text, patientId };
  }
  function* emitAll(resources: Iterable<StoredResource>, patientId: string | undefined): Iterable<Selected> {
    for (const resource of resources) {
      if (!isTime(resource)) continue;
      yield* emit(resource, patientId);
      if (!byAssociation || resource.type === 'Provenance') continue;
      const about = population.provenanceOf(resource);
      for (const one of request.provenance === 'latest' ? latestOf(about) : about) {
        yield* emit(one, patientId);
      }
    }
  }

  for (const patientId of patientsOf(selection, request)) {
    const obtained = new Map<string, StoredResource>();
    const add = (resource: StoredResource) => {
      if (!obtained.has(keyOf(resource)) && passes(resource)) obtained.set(keyOf(resource), resource);
    };
    for (const type of types) {
      if (type === 'Provenance' && byAssociation) continue;
      population.compartment(patientId, type).forEach(add);
    }
    if (wants('Provenance') && !byAssociation) {
      for (const resource of [...obtained.values()]) population.provenanceOf(resource).forEach(add);
    }
    if (followsReferences) {
      // A Map is walked in order of insertion, so what a reference adds is followed in its turn.
      for (const resource of obtained.values()) {
        for (const { type, id } of referencesIn(resource.text, fhirBase)) {
          if (!types.includes(type) || obtained.has(`${type}/${id}`)) continue;
          const target = population.read(type, id);
          if (target?.patients.length === 0) add(target);
        }
      }
    }
    yield* emitAll(obtained.values(), patientId);
  }
  // Outside of every patient's block there is no place for them.
  if (request.level !== 'system' || request.organizedByPatient) return;
  for (const type of types) yield* emitAll(population.unowned(type).filter(passes), undefined);
}

/** What was deleted after `_since` and before `_until`, of the types and patients asked for. */
export function* selectedDeletions(
  selection: SelectionContext,
  request: KickoffRequest,
): Generator<Deletion, void, void> {
  const { sinceMs, untilMs = Infinity } = request;
  if (sinceMs === undefined) return;
  const wants = wantsType(selection, request);
  const isOf = (patientId: string) =>
    request.patients?.includes(patientId) ?? selection.members.has(patientId);
  for (const deletion of selection.changes.deletions()) {
    if (deletion.atMs <= sinceMs || deletion.atMs >= untilMs || !wants(deletion.type)) continue;
    if (request.level === 'system' || deletion.patients.some(isOf)) yield deletion;
  }
}

/** The OperationOutcomes of an export's `error` files: what was passed over, and whose data is withheld. */
export function* selectedOutcomes(
  { context, members }: SelectionContext,
  request: KickoffRequest,
): Generator<Buffer, void, void> {
  const { population } = context;
  for (const text of request.ignored) yield outcomeText([issueOf('59109', text)]);
  for (const patientId of request.patients ?? members.ids()) {
    const kind = population.standing(patientId)?.kind;
    if (kind === 'break-the-glass') {
      yield outcomeText([{ ...issueOf('4134', `Patient/${patientId}`), severity: 'error' }]);
    } else if (kind === 'partial') yield outcomeText([issueOf('59204', `Patient/${patientId}`)]);
  }
}
