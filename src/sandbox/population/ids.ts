import { createCipheriv, createDecipheriv, createHash } from 'node:crypto';

/** The types of a generated population; the position is the type's number inside an id. Append only. */
export const GENERATED_TYPES = [
  'Patient',
  'Observation',
  'Condition',
  'Encounter',
  'Procedure',
  'DocumentReference',
  'Binary',
  'Appointment',
  'Coverage',
  'ExplanationOfBenefit',
  'CarePlan',
  'Organization',
  'Practitioner',
  'PractitionerRole',
  'Location',
  'Questionnaire',
  'QuestionnaireResponse',
  'List',
  'Consent',
  'Provenance',
  'DeviceUseStatement',
  'MedicationRequest',
  'Medication',
  'Immunization',
  'AllergyIntolerance',
  'DiagnosticReport',
  'Goal',
  'CareTeam',
  'Device',
  'ServiceRequest',
] as const;

export type GeneratedType = (typeof GENERATED_TYPES)[number];

/** What an id of a generated population says: the n-th resource of a type of the patient with this ordinal. */
export interface ResourcePosition {
  readonly type: GeneratedType;
  readonly ordinal: number;
  readonly n: number;
}

/** Two-way computing of ids and MRNs: no table, so a million patients take no memory. */
export interface IdCodec {
  encode(position: ResourcePosition): string;
  /** Undefined for an id that this population cannot have. */
  decode(id: string): ResourcePosition | undefined;
  mrn(ordinal: number): string;
  ordinalOfMrn(mrn: string): number | undefined;
}

/** Epic's public sandbox patients: the first seven of every generated population. */
export const EPIC_TEST_PATIENTS = [
  { name: 'Camila Lopez', id: 'erXuFYUfucBZaryVksYEcMg3', mrn: '203713' },
  { name: 'Derrick Lin', id: 'eq081-VQEgP8drUUqCWzHfw3', mrn: '203711' },
  { name: 'Desiree Powell', id: 'eAB3mDIBBcyUKviyzrxsnAw3', mrn: '203714' },
  { name: 'Elijah Davis', id: 'egqBHVfQlt4Bw3XGXoxVxHg3', mrn: '203709' },
  { name: 'Linda Ross', id: 'eIXesllypH3M9tAA5WdJftQ3', mrn: '203712' },
  { name: 'Olivia Roberts', id: 'eh2xYHuzl9nkSFVvV3osUHg3', mrn: '203715' },
  { name: 'Warren McGinnis', id: 'e0w0LEDCYtfckT6N.CkJKCw3', mrn: '203710' },
] as const;

/** The MRN system of Epic's sandbox. */
export const MRN_SYSTEM = 'urn:oid:1.2.840.114350.1.13.0.1.7.5.737384.14';

/** The last five bytes of every block: an id that does not decipher to them is no id of ours. */
const CHECK = Buffer.from('rounds'.slice(0, 5), 'latin1');
const MRN_MODULUS = 1_000_000_000n;
const MRN_FACTOR = 387_420_489n; // 3^18: prime to the modulus, so the map is a bijection

function inverse(value: bigint, modulus: bigint): bigint {
  let [oldR, r] = [value, modulus];
  let [oldS, s] = [1n, 0n];
  while (r !== 0n) {
    const quotient = oldR / r;
    [oldR, r] = [r, oldR - quotient * r];
    [oldS, s] = [s, oldS - quotient * s];
  }
  return ((oldS % modulus) + modulus) % modulus;
}

/** Ids of a seed. An id is one AES block in Epic's shape: `e`, 22 characters of base64 with `.` and `-`, `3`. */
export function idCodec(seed: number): IdCodec {
  const key = createHash('sha256').update(`fhir-rounds sandbox ${seed}`).digest().subarray(0, 16);
  // ECB over single blocks is a keyed bijection; without padding one cipher object serves every id.
  const cipher = createCipheriv('aes-128-ecb', key, null).setAutoPadding(false);
  const decipher = createDecipheriv('aes-128-ecb', key, null).setAutoPadding(false);
  const shift = BigInt(seed) * 7_919n + 500_000n;
  const unfactor = inverse(MRN_FACTOR, MRN_MODULUS);
  const block = Buffer.alloc(16);

  return {
    encode({ type, ordinal, n }) {
      const known = type === 'Patient' ? EPIC_TEST_PATIENTS[ordinal] : undefined;
      if (known) return known.id;
      block.writeUInt8(GENERATED_TYPES.indexOf(type), 0);
      block.writeUIntBE(ordinal, 1, 6);
      block.writeUInt32BE(n, 7);
      CHECK.copy(block, 11);
      const text = cipher.update(block).toString('base64').slice(0, 22);
      return `e${text.replaceAll('+', '.').replaceAll('/', '-')}3`;
    },
    decode(id) {
      const known = EPIC_TEST_PATIENTS.findIndex((patient) => patient.id === id);
      if (known >= 0) return { type: 'Patient', ordinal: known, n: 0 };
      if (!/^e[A-Za-z0-9.-]{22}3$/.test(id)) return undefined;
      const base64 = id.slice(1, 23).replaceAll('.', '+').replaceAll('-', '/');
      const bytes = Buffer.from(`${base64}==`, 'base64');
      // The last character holds four spare bits: another spelling of the same block is another id.
      if (bytes.length !== 16 || bytes.toString('base64').slice(0, 22) !== base64) return undefined;
      const plain = decipher.update(bytes);
      const type = GENERATED_TYPES[plain.readUInt8(0)];
      if (!type || !plain.subarray(11).equals(CHECK)) return undefined;
      const ordinal = plain.readUIntBE(1, 6);
      if (type === 'Patient' && ordinal < EPIC_TEST_PATIENTS.length) return undefined;
      return { type, ordinal, n: plain.readUInt32BE(7) };
    },
    mrn(ordinal) {
      const known = EPIC_TEST_PATIENTS[ordinal];
      if (known) return known.mrn;
      const value = (BigInt(ordinal) * MRN_FACTOR + shift) % MRN_MODULUS;
      return value.toString().padStart(9, '0');
    },
    ordinalOfMrn(mrn) {
      const known = EPIC_TEST_PATIENTS.findIndex((patient) => patient.mrn === mrn);
      if (known >= 0) return known;
      if (!/^\d{9}$/.test(mrn)) return undefined;
      const value = (((BigInt(mrn) - shift) % MRN_MODULUS) + MRN_MODULUS) % MRN_MODULUS;
      const ordinal = Number((value * unfactor) % MRN_MODULUS);
      return ordinal < EPIC_TEST_PATIENTS.length ? undefined : ordinal;
    },
  };
}

/** The FHIR id of a generated patient. Ordinals start at 0; the first seven are Epic's test patients. */
export function patientIdOf(ordinal: number, seed: number): string {
  return idCodec(seed).encode({ type: 'Patient', ordinal, n: 0 });
}

/** The MRN of a generated patient: six digits for Epic's seven, else nine, leading zeros included. */
export function mrnOf(ordinal: number, seed: number): string {
  return idCodec(seed).mrn(ordinal);
}
