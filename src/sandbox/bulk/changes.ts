import { draw, hashText } from '../population/dice.ts';
import type { Population, StoredResource } from '../population/types.ts';

/** A deletion that a `_since` export has to tell of. */
export interface Deletion {
  readonly type: string;
  readonly id: string;
  readonly patients: readonly string[];
  readonly atMs: number;
}

/** When the server's resources were changed, and which are gone: what `_since` and `_until` go by. */
export interface Changes {
  /** The population without what was deleted: what every part of the server serves. */
  readonly population: Population;
  /**
   * Ms since 1970: when it was touched; else what its `meta.lastUpdated` says; else a time within 2025 that
   * depends on type and id alone (Epic's resources have no `meta.lastUpdated`, and neither have ours).
   */
  lastUpdatedMs(resource: StoredResource): number;
  /** Everything deleted: by `remove`, and the records of deleted patients at a time within 2025. */
  deletions(): Iterable<Deletion>;
  /** Marks a resource as changed now; its bytes stay. Throws for one that is not there. */
  touch(type: string, id: string): void;
  /** Deletes a resource now; a Patient with all that is its own. Throws for one that is not there. */
  remove(type: string, id: string): void;
}

const YEAR_START_MS = Date.UTC(2025, 0, 1);
const YEAR_SECONDS = 365 * 86_400;

export function changesOf(source: Population, now: () => number): Changes {
  const touched = new Map<string, number>();
  const removed = new Map<string, Deletion>();
  const key = (type: string, id: string) => `${type}/${id}`;
  const isHere = (resource: StoredResource) => !removed.has(key(resource.type, resource.id));
  const kept = (resources: readonly StoredResource[]) =>
    removed.size === 0 ? resources : resources.filter(isHere);
  const drawnMs = (type: string, id: string) =>
    YEAR_START_MS + (draw(hashText(key(type, id)), 17) % YEAR_SECONDS) * 1000;

  function found(type: string, id: string): StoredResource {
    const resource = population.read(type, id);
    if (!resource) throw new Error(`the sandbox has no ${type} of this id`);
    return resource;
  }

  const population: Population = {
    ...source,
    standing: (patientId) =>
      removed.has(key('Patient', patientId)) ? { kind: 'deleted' } : source.standing(patientId),
    read: (type, id) => (removed.has(key(type, id)) ? undefined : source.read(type, id)),
    compartment: (patientId, type) => kept(source.compartment(patientId, type)),
    unowned: (type) => kept(source.unowned(type)),
    patientsByIdentifier: (system, value) => kept(source.patientsByIdentifier(system, value)),
    provenanceOf: (resource) => kept(source.provenanceOf(resource)),
  };

  /** A Patient and what is its own alone. */
  function* recordOf(patientId: string): Iterable<StoredResource> {
    for (const type of ['Patient', ...source.types.filter((name) => name !== 'Patient')]) {
      yield* source.compartment(patientId, type).filter(({ patients }) => patients.length === 1);
    }
  }

  return {
    population,
    lastUpdatedMs(resource) {
      const at = touched.get(key(resource.type, resource.id));
      if (at !== undefined) return at;
      if (resource.text.includes('"lastUpdated"')) {
        const parsed = JSON.parse(resource.text.toString('utf8')) as { meta?: { lastUpdated?: string } };
        const said = Date.parse(parsed.meta?.lastUpdated ?? '');
        if (!Number.isNaN(said)) return said;
      }
      return drawnMs(resource.type, resource.id);
    },
    *deletions() {
      yield* removed.values();
      for (const patientId of source.patientIds()) {
        if (source.standing(patientId)?.kind !== 'deleted') continue;
        const atMs = drawnMs('Patient', patientId);
        for (const { type, id, patients } of recordOf(patientId)) yield { type, id, patients, atMs };
      }
    },
    touch(type, id) {
      found(type, id);
      touched.set(key(type, id), now());
    },
    remove(type, id) {
      const resource = found(type, id);
      const gone = type === 'Patient' ? [...recordOf(id)] : [resource];
      for (const { type: ofType, id: ofId, patients } of gone) {
        removed.set(key(ofType, ofId), { type: ofType, id: ofId, patients, atMs: now() });
      }
    },
  };
}
