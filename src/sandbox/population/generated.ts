import { ADMINISTRATIVE_GENERATORS } from './administrative.ts';
import { CARE_PLAN_CATEGORIES, CLINICAL_GENERATORS } from './clinical.ts';
import { SHARED_POOLS, type PatientContext, type TypeGenerator } from './context.ts';
import { draw } from './dice.ts';
import { DOCUMENT_GENERATORS } from './documents.ts';
import { GENERATED_TYPES, idCodec, MRN_SYSTEM, type GeneratedType, type IdCodec } from './ids.ts';
import { ORDER_GENERATORS } from './orders.ts';
import { SHARED_GENERATORS } from './shared.ts';
import { resourceText } from './texts.ts';
import type { PatientStanding, Population, StoredResource } from './types.ts';

const GENERATORS: Readonly<Record<GeneratedType, TypeGenerator>> = {
  ...SHARED_GENERATORS,
  ...CLINICAL_GENERATORS,
  ...ORDER_GENERATORS,
  ...ADMINISTRATIVE_GENERATORS,
  ...DOCUMENT_GENERATORS,
};

/** Patients whose resources are kept at hand, least recently used first out: the only memory there is. */
const KEPT_PATIENTS = 256;

/** The special patients, by their place after the ordinary ones. */
const SPECIAL = ['merged', 'deleted', 'break-the-glass', 'partial', 'twin', 'twin'] as const;

export interface GeneratedOptions {
  readonly seed: number;
  /** Ordinary patients; the first seven are Epic's test patients. */
  readonly patients: number;
  /** Appends six more: merged, deleted, Break-the-Glass, partial, and two that share one MRN. */
  readonly special: boolean;
  readonly fhirBase: string;
}

/** A population computed from its seed: any number of patients in the same memory, the same bytes every time. */
export function generatedPopulation(options: GeneratedOptions): Population {
  const { seed, patients, fhirBase } = options;
  const ids = idCodec(seed);
  const size = patients + (options.special ? SPECIAL.length : 0);
  const specialOf = (ordinal: number) => SPECIAL[ordinal - patients];
  const firstTwin = patients + SPECIAL.indexOf('twin');

  // Two patients with one MRN: a search by it is ambiguous.
  const mrns: IdCodec = {
    ...ids,
    mrn: (ordinal) => ids.mrn(specialOf(ordinal) === 'twin' ? firstTwin : ordinal),
  };

  const kept = new Map<number, Map<GeneratedType, readonly StoredResource[]>>();
  const idOf = (type: GeneratedType, ordinal: number, n: number) => ids.encode({ type, ordinal, n });
  const patientIdAt = (ordinal: number) =>
    Number.isSafeInteger(ordinal) && ordinal >= 0 && ordinal < size ? idOf('Patient', ordinal, 0) : undefined;
  // The pools' references stand in nearly every resource: enciphered once.
  const pooled = new Map<string, { readonly reference: string }>();
  function pooledRef(type: GeneratedType, n: number): { readonly reference: string } {
    const known = pooled.get(`${type} ${n}`) ?? { reference: `${type}/${idOf(type, 0, n)}` };
    pooled.set(`${type} ${n}`, known);
    return known;
  }
  /** Every fourth ordinary patient shares its first appointment with the next one. */
  const partnerOf = (ordinal: number) =>
    ordinal % 4 === 0 && ordinal + 1 < patients ? ordinal + 1 : undefined;

  function contextOf(ordinal: number): PatientContext {
    const id = idOf('Patient', ordinal, 0);
    const partner = partnerOf(ordinal);
    return {
      ordinal,
      seed,
      id,
      ids: mrns,
      fhirBase,
      count: (type) => GENERATORS[type].count({ ordinal, seed }),
      roll: (type, n, salt) => draw(seed, ordinal, GENERATED_TYPES.indexOf(type), n, salt),
      ref: (type, n) =>
        SHARED_POOLS[type] === undefined
          ? { reference: `${type}/${idOf(type, ordinal, n)}` }
          : pooledRef(type, n),
      subject: { reference: `Patient/${id}` },
      partnerId: partner === undefined ? undefined : idOf('Patient', partner, 0),
    };
  }

  function make(context: PatientContext, type: GeneratedType, n: number): StoredResource {
    const id = idOf(type, context.ordinal, n);
    const fields = GENERATORS[type].make(context, n);
    const drawn = draw(seed, context.ordinal, GENERATED_TYPES.indexOf(type), n, 99);
    const shared = SHARED_POOLS[type] !== undefined;
    const partner = type === 'Appointment' && n === 0 ? context.partnerId : undefined;
    const owners = shared ? [] : partner === undefined ? [context.id] : [context.id, partner];
    return { type, id, text: resourceText(type, id, fields, drawn), patients: owners };
  }

  function resourcesOf(ordinal: number, type: GeneratedType): readonly StoredResource[] {
    if (SHARED_POOLS[type] !== undefined) return [];
    const patient = kept.get(ordinal) ?? new Map<GeneratedType, readonly StoredResource[]>();
    kept.delete(ordinal);
    kept.set(ordinal, patient);
    if (kept.size > KEPT_PATIENTS) {
      const oldest = kept.keys().next();
      if (!oldest.done) kept.delete(oldest.value);
    }
    const known = patient.get(type);
    if (known) return known;
    const context = contextOf(ordinal);
    const made = Array.from({ length: context.count(type) }, (_, n) => make(context, type, n));
    // The partner's side of a shared appointment comes first, as its own record.
    if (type === 'Appointment' && ordinal > 0 && partnerOf(ordinal - 1) === ordinal) {
      made.unshift(make(contextOf(ordinal - 1), 'Appointment', 0));
    }
    patient.set(type, made);
    return made;
  }

  /** The ordinal whose record an id opens: a merged patient's is its survivor's, the first patient. */
  function recordOrdinal(patientId: string): number | undefined {
    const position = ids.decode(patientId);
    if (position?.type !== 'Patient' || position.n !== 0 || position.ordinal >= size) return undefined;
    return specialOf(position.ordinal) === 'merged' ? 0 : position.ordinal;
  }

  const isType = (type: string): type is GeneratedType =>
    (GENERATED_TYPES as readonly string[]).includes(type);

  const population: Population = {
    size,
    *patientIds() {
      for (let ordinal = 0; ordinal < size; ordinal += 1) yield idOf('Patient', ordinal, 0);
    },
    patientIdAt,
    standing(patientId): PatientStanding | undefined {
      const position = ids.decode(patientId);
      if (position?.type !== 'Patient' || position.n !== 0 || position.ordinal >= size) return undefined;
      const special = specialOf(position.ordinal);
      if (special === 'merged') return { kind: 'merged', survivor: idOf('Patient', 0, 0) };
      if (special === undefined || special === 'twin') return { kind: 'present' };
      return { kind: special };
    },
    read(type, id) {
      const position = ids.decode(id);
      if (!position || position.type !== type) return undefined;
      const { ordinal, n } = position;
      const poolSize = SHARED_POOLS[position.type];
      if (poolSize !== undefined) {
        return ordinal === 0 && n < poolSize ? make(contextOf(0), position.type, n) : undefined;
      }
      if (ordinal >= size) return undefined;
      if (position.type === 'Patient') return resourcesOf(recordOrdinal(id) ?? ordinal, 'Patient')[0];
      if (specialOf(ordinal) === 'merged') return undefined;
      return resourcesOf(ordinal, position.type).find((resource) => resource.id === id);
    },
    compartment(patientId, type) {
      const ordinal = recordOrdinal(patientId);
      return ordinal === undefined || !isType(type) ? [] : resourcesOf(ordinal, type);
    },
    unowned(type) {
      const poolSize = isType(type) ? (SHARED_POOLS[type] ?? 0) : 0;
      return Array.from({ length: poolSize }, (_, n) => make(contextOf(0), type as GeneratedType, n));
    },
    patientsByIdentifier(system, value) {
      if (system !== undefined && system !== MRN_SYSTEM) return [];
      const ordinal = ids.ordinalOfMrn(value);
      if (ordinal === undefined || ordinal >= size) return [];
      const special = specialOf(ordinal);
      if (special === 'twin') {
        return ordinal === firstTwin
          ? [firstTwin, firstTwin + 1].flatMap((twin) => resourcesOf(twin, 'Patient'))
          : [];
      }
      return special === 'deleted' ? [] : resourcesOf(special === 'merged' ? 0 : ordinal, 'Patient');
    },
    provenanceOf(resource) {
      const owner = resource.patients[0];
      if (owner === undefined) return [];
      const needle = `"${resource.type}/${resource.id}"`;
      return population
        .compartment(owner, 'Provenance')
        .filter((provenance) => provenance.text.includes(needle));
    },
    types: GENERATED_TYPES,
    carePlanCategories: CARE_PLAN_CATEGORIES,
  };
  return population;
}
