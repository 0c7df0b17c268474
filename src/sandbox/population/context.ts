import { draw } from './dice.ts';
import { GENERATED_TYPES, type GeneratedType, type IdCodec } from './ids.ts';
import type { Json, JsonFields } from './texts.ts';

/** What a generator may ask about the patient whose resource it makes. Pure: the same answers every time. */
export interface PatientContext {
  readonly ordinal: number;
  readonly seed: number;
  /** Logical id of the patient. */
  readonly id: string;
  readonly ids: IdCodec;
  /** The FHIR base, for the absolute URLs that stand in resources. */
  readonly fhirBase: string;
  /** How many resources of a type this patient has. */
  count(type: GeneratedType): number;
  /** A draw for the n-th resource of a type; `salt` tells several draws of one resource apart. */
  roll(type: GeneratedType, n: number, salt: number): number;
  /** `{ reference: 'Type/id' }` to a resource of this patient (or of the shared pool). */
  ref(type: GeneratedType, n: number): { readonly reference: string };
  /** The patient as a subject. */
  readonly subject: { readonly reference: string };
  /** The id of the second patient of a shared appointment, if the first one shares any. */
  readonly partnerId: string | undefined;
}

/** How one type is made: how many a patient has, and the n-th one's members without type and id. */
export interface TypeGenerator {
  count(patient: { readonly ordinal: number; readonly seed: number }): number;
  make(patient: PatientContext, n: number): JsonFields;
}

/** Sizes of the pools that all patients share; these types belong to no patient. */
export const SHARED_POOLS: Readonly<Partial<Record<GeneratedType, number>>> = {
  Organization: 12,
  Practitioner: 60,
  PractitionerRole: 60,
  Location: 20,
  Questionnaire: 3,
  Medication: 30,
};

/** A CodeableConcept of one coding. */
export function concept(system: string, code: string, display: string): Json {
  return { coding: [{ system, code, display }], text: display };
}

/** A date-time between 2015 and 2025 with an offset, from a draw. */
export function dateTime(drawn: number): string {
  const seconds = 1_420_070_400 + (drawn % 347_155_200);
  return new Date(seconds * 1000).toISOString().replace('.000Z', drawn % 3 === 0 ? '+00:00' : 'Z');
}

/** A plain date between 2015 and 2025, from a draw. */
export function date(drawn: number): string {
  return dateTime(drawn).slice(0, 10);
}

/** `base` to `base + spread - 1`; none at all for about one patient in `noneOf` (0: never none). */
export function spreadCount(
  type: GeneratedType,
  base: number,
  spread: number,
  noneOf = 0,
): TypeGenerator['count'] {
  const salt = GENERATED_TYPES.indexOf(type);
  return ({ ordinal, seed }) => {
    const drawn = draw(seed, ordinal, salt, 77);
    if (noneOf > 0 && drawn % noneOf === 0) return 0;
    return base + ((drawn >>> 8) % spread);
  };
}
