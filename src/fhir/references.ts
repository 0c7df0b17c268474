import { isJsonObject, type JsonObject, type JsonValue } from './jsonBytes.ts';

/**
 * Which records a resource names: the patients it belongs to, and what can be fetched through it.
 * Runs once for every resource that is pulled.
 */

export interface RecordName {
  readonly resourceType: string;
  readonly resourceId: string;
}

export interface ResourceReferences {
  /** Distinct ids of all patients that any Reference names; a Patient names itself. */
  readonly patients: readonly string[];
  /** Those of them that the resource is about: its subject, patient, beneficiary, individual, for or participant. */
  readonly subjectPatients: readonly string[];
  /** Distinct records other than patients that this server holds: References, attachments' Binaries, canonicals. */
  readonly others: readonly RecordName[];
  /** How many point elsewhere: another server, urn:uuid:, or nothing that can be read. */
  readonly foreign: number;
  /** How many name no record: an identifier alone, or a search (`Practitioner?identifier=...`). */
  readonly logical: number;
  /** How many point into the resource itself (`#x`). */
  readonly contained: number;
}

type Target = RecordName | 'foreign' | 'logical' | 'contained';

/** `.` and `..` are no ids: in a URL they climb. */
const RECORD =
  /^([A-Z][A-Za-z]{0,63})\/((?!\.{1,2}(?:\/|$))[A-Za-z0-9._-]{1,255})(?:\/_history\/[A-Za-z0-9._-]{1,255})?$/;
const SEARCH = /^[A-Z][A-Za-z]{0,63}\?/;
/** What a Reference without `reference` may hold (FHIR R4, 2.3.0). */
const REFERENCE_KEYS = ['type', 'identifier', 'display', 'id', 'extension'];
const SUBJECT_KEYS = ['subject', 'patient', 'beneficiary', 'individual', 'for'];

/**
 * Everything that `resource` refers to. Relative references and absolute ones under `base` are the same record,
 * with or without a version; a canonical's `|version` is left out.
 * @param base the FHIR base; a slash at its end does not matter
 */
export function referencesIn(resource: JsonObject, base: string): ResourceReferences {
  const prefix = base.replace(/\/+$/, '') + '/';
  const patients = new Set<string>();
  const others = new Map<string, RecordName>();
  const counts = { foreign: 0, logical: 0, contained: 0 };
  const add = (target: Target): void => {
    if (typeof target === 'string') counts[target]++;
    else if (target.resourceType === 'Patient') patients.add(target.resourceId);
    else others.set(`${target.resourceType}/${target.resourceId}`, target);
  };

  const stack: (JsonObject | readonly JsonValue[])[] = [resource];
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    if (isArray(node)) {
      for (const item of node) if (typeof item === 'object' && item !== null) stack.push(item);
      continue;
    }
    for (const key in node) {
      const value = node[key];
      if (typeof value === 'object' && value !== null) {
        if (key === 'identifier' && isLogical(node)) counts.logical++;
        else if (key === 'instantiatesCanonical' && isArray(value))
          for (const item of value) addCanonical(item, prefix, add);
        stack.push(value);
      } else if (typeof value === 'string') {
        if (key === 'reference') add(targetOf(value, prefix));
        else if (key === 'url') addAttachment(value, 'contentType' in node, prefix, add);
        else if (key === 'questionnaire' || key === 'instantiatesCanonical') addCanonical(value, prefix, add);
      }
    }
  }

  const subjects = subjectsOf(resource, prefix);
  if (resource.resourceType === 'Patient' && typeof resource.id === 'string') {
    patients.add(resource.id);
    subjects.add(resource.id);
  }
  return { patients: [...patients], subjectPatients: [...subjects], others: [...others.values()], ...counts };
}

/**
 * Whose resource it is, seen from the search of one patient:
 * - `patient`: it names this patient and no other, so no other patient's search can find it;
 * - `shared`: it names no patient, or others beside this one, so another search may find it too;
 * - `foreign`: it is about, or names, other patients only.
 */
export function belongsTo(
  references: ResourceReferences,
  patientId: string,
): 'patient' | 'shared' | 'foreign' {
  const { patients, subjectPatients } = references;
  if (subjectPatients.length > 0 && !subjectPatients.includes(patientId)) return 'foreign';
  if (patients.length === 0) return 'shared';
  if (!patients.includes(patientId)) return 'foreign';
  return patients.length === 1 ? 'patient' : 'shared';
}

/** Patients named where a resource says whom it is about. */
function subjectsOf(resource: JsonObject, prefix: string): Set<string> {
  const subjects = new Set<string>();
  const add = (value: JsonValue | undefined): void => {
    for (const item of isArray(value) ? value : [value]) {
      if (!isJsonObject(item) || typeof item.reference !== 'string') continue;
      const target = targetOf(item.reference, prefix);
      if (typeof target === 'object' && target.resourceType === 'Patient') subjects.add(target.resourceId);
    }
  };
  for (const key of SUBJECT_KEYS) add(resource[key]);
  if (isArray(resource.participant)) {
    for (const participant of resource.participant) {
      if (!isJsonObject(participant)) continue;
      add(participant.actor);
      add(participant.individual);
    }
  }
  return subjects;
}

function targetOf(reference: string, prefix: string): Target {
  if (reference.charCodeAt(0) === 0x23) return 'contained';
  const local = localPart(reference, prefix);
  if (local === undefined) return 'foreign';
  const found = RECORD.exec(local);
  if (found) return { resourceType: found[1]!, resourceId: found[2]! };
  return SEARCH.test(local) ? 'logical' : 'foreign';
}

/** The part after the base; `undefined` for what lies elsewhere. */
function localPart(reference: string, prefix: string): string | undefined {
  if (reference.startsWith(prefix)) return reference.slice(prefix.length);
  // `Type/id` and `Type?...` hold no scheme before their first slash or question mark.
  if (!/^[^/?]*:/.test(reference)) return reference;
  // The same base in other words: HTTPS://Host:443/...
  if (!/^https?:\/\//i.test(reference) || !URL.canParse(reference) || !URL.canParse(prefix)) return undefined;
  const url = new URL(reference);
  const base = new URL(prefix);
  if (url.username !== '' || url.password !== '') return undefined;
  if (url.origin !== base.origin || !url.pathname.startsWith(base.pathname)) return undefined;
  return url.pathname.slice(base.pathname.length) + url.search;
}

/** `url` is the key of extensions too, nearly always; only a Binary of this server or an attachment counts. */
function addAttachment(
  url: string,
  isAttachment: boolean,
  prefix: string,
  add: (target: Target) => void,
): void {
  if (!isAttachment && !url.startsWith('Binary/') && !url.includes('/Binary/')) return;
  const target = targetOf(url, prefix);
  if (typeof target === 'object' && target.resourceType === 'Binary') add(target);
  else if (isAttachment) add('foreign');
}

/** Canonicals of other origins are names, not records to fetch: they are not even counted. */
function addCanonical(value: JsonValue | undefined, prefix: string, add: (target: Target) => void): void {
  if (typeof value !== 'string') return;
  const bar = value.indexOf('|');
  const target = targetOf(bar < 0 ? value : value.slice(0, bar), prefix);
  if (typeof target === 'object') add(target);
}

/** Whether an object that has an `identifier` is a Reference by that identifier alone. */
function isLogical(node: JsonObject): boolean {
  if (!isJsonObject(node.identifier)) return false;
  for (const key in node)
    if (!REFERENCE_KEYS.includes(key.startsWith('_') ? key.slice(1) : key)) return false;
  return true;
}

function isArray(value: unknown): value is readonly JsonValue[] {
  return Array.isArray(value);
}
