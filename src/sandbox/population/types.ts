/** A resource as the sandbox holds it. */
export interface StoredResource {
  readonly type: string;
  readonly id: string;
  /** Canonical compact text: no white space between tokens. What a perfect client writes as one line. */
  readonly text: Buffer;
  /** Ids of the patients it belongs to; empty for what patients share (Practitioner, Location ...). */
  readonly patients: readonly string[];
}

/** What the server says about a patient id. */
export type PatientStanding =
  | { readonly kind: 'present' }
  | { readonly kind: 'merged'; readonly survivor: string }
  | { readonly kind: 'deleted' }
  | { readonly kind: 'break-the-glass' }
  /** Its searches say that data may be withheld (59204). */
  | { readonly kind: 'partial' };

/** The resources behind the server: computed from a seed, or loaded from files. */
export interface Population {
  /** Number of patients, special ones included. */
  readonly size: number;
  /** All patient ids in order of ordinal, one at a time. */
  patientIds(): Iterable<string>;
  patientIdAt(ordinal: number): string | undefined;
  /** Undefined for an id that is no patient. */
  standing(patientId: string): PatientStanding | undefined;
  /** One resource; a merged patient's id gives the surviving patient. Standing is not considered here. */
  read(type: string, id: string): StoredResource | undefined;
  /** A patient's resources of one type, in a fixed order; a merged id gives the survivor's. */
  compartment(patientId: string, type: string): readonly StoredResource[];
  /** The resources of one type that belong to no patient, in a fixed order. */
  unowned(type: string): readonly StoredResource[];
  /** Patients by business identifier; without a system, by value alone. */
  patientsByIdentifier(system: string | undefined, value: string): readonly StoredResource[];
  /** The Provenance resources whose target is this resource. */
  provenanceOf(resource: StoredResource): readonly StoredResource[];
  /** The resource types that it can hold. */
  readonly types: readonly string[];
  /** The category codes that its care plans have. */
  readonly carePlanCategories: readonly string[];
}
