import type { ExactResource } from './searchset.ts';

/**
 * Which records a resource names: the patients it belongs to, and what can be fetched through it.
 * Runs once for every resource that is pulled.
 */

export interface RecordName {
  readonly resourceType: string;
  readonly resourceId: string;
}

export interface ResourceReferences {
  /** Ids of all patients that any Reference names; a Patient names itself. */
  readonly patients: ReadonlySet<string>;
  /** Those of them that the resource is about: its subject, patient, beneficiary, individual, for or participant. */
  readonly subjectPatients: ReadonlySet<string>;
  /** Records other than patients that this server holds, in order: References, Binaries of attachments, canonicals. */
  readonly others: readonly RecordName[];
}

/** Reads what a resource refers to; made for one server by `referenceReader`. */
export type ReadReferences = (
  resource: Pick<ExactResource, 'resourceType' | 'resourceId' | 'named'>,
) => ResourceReferences;

/** `.` and `..` are no ids: in a URL they climb. */
const RECORD =
  /^([A-Z][A-Za-z]{0,63})\/((?!\.{1,2}(?:\/|$))[A-Za-z0-9._-]{1,255})(?:\/_history\/[A-Za-z0-9._-]{1,255})?$/;
/** Most resources name the same few records: those of late are not made out anew. */
const REMEMBERED = 1_000;

/**
 * Relative references and absolute ones under `base` are the same record, with or without a version; a canonical's
 * `|version` is left out. What names no record of this server (another server's, `urn:uuid:`, `#contained`, an
 * identifier alone, a search) is passed over.
 * @param base the FHIR base; a slash at its end does not matter
 */
export function referenceReader(base: string): ReadReferences {
  const prefix = base.endsWith('/') ? base : `${base}/`;
  const remembered = new Map<string, RecordName | undefined>();
  const recordOf = (reference: string): RecordName | undefined => {
    if (remembered.has(reference)) return remembered.get(reference);
    if (remembered.size >= REMEMBERED) remembered.clear();
    const record = recordIn(reference, prefix);
    remembered.set(reference, record);
    return record;
  };
  return ({ resourceType, resourceId, named }) => {
    const patients = new Set<string>();
    const subjectPatients = new Set<string>();
    const others: RecordName[] = [];
    for (const { text, as } of named) {
      // The URL of an extension, nearly always.
      if (as === 'url' && !text.includes('Binary/')) continue;
      const record = recordOf(as === 'canonical' ? withoutVersion(text) : text);
      if (record === undefined || (as === 'url' && record.resourceType !== 'Binary')) continue;
      if (record.resourceType !== 'Patient') others.push(record);
      else {
        patients.add(record.resourceId);
        if (as === 'subject') subjectPatients.add(record.resourceId);
      }
    }
    if (resourceType === 'Patient') {
      patients.add(resourceId);
      subjectPatients.add(resourceId);
    }
    return { patients, subjectPatients, others };
  };
}

function withoutVersion(canonical: string): string {
  const bar = canonical.indexOf('|');
  return bar < 0 ? canonical : canonical.slice(0, bar);
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
  if (subjectPatients.size > 0 && !subjectPatients.has(patientId)) return 'foreign';
  if (patients.size === 0) return 'shared';
  if (!patients.has(patientId)) return 'foreign';
  return patients.size === 1 ? 'patient' : 'shared';
}

/** undefined for what is no record of this server. */
function recordIn(reference: string, prefix: string): RecordName | undefined {
  const local = localPart(reference, prefix);
  const [, resourceType, resourceId] = (local !== undefined && RECORD.exec(local)) || [];
  return resourceType === undefined ? undefined : { resourceType, resourceId: resourceId! };
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
