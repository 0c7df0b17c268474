// The patients and resources that the fast server serves: all ids are counted numbers, so that both sides know every URL
// without asking, and a page is a template with digits put in.
import { Buffer } from 'node:buffer';

const PATIENT_DIGITS = 9;
const RESOURCE_DIGITS = 6;
const PAGE_DIGITS = 6;
/** Each stands where so many digits go. */
const PATIENT = 'P'.repeat(PATIENT_DIGITS);
const RESOURCE = 'R'.repeat(RESOURCE_DIGITS);
const PAGE = 'N'.repeat(PAGE_DIGITS);
const PLACEHOLDER = /([PRN])\1{5,}/g;

/** Types whose `subject` is the patient, and for which no rule of Epic's wants more than that. */
export const TYPES = [
  ...['Condition', 'Procedure', 'Encounter', 'Goal'],
  ...['DiagnosticReport', 'MedicationRequest', 'ServiceRequest', 'ClinicalImpression'],
];
export const PAGE_SIZE = 100;
export const RESOURCE_BYTES = 1_000;
export const GROUP_ID = 'bench-group';

const digits = (number, width) => String(number).padStart(width, '0');
export const patientIdOf = (patientNo) => `bench-${digits(patientNo, PATIENT_DIGITS)}`;

export function* patientIdsOf(patients) {
  for (let patientNo = 0; patientNo < patients; patientNo++) yield patientIdOf(patientNo);
}

/** Path and query of a search's page (from 0), below the FHIR base: the first as the program asks it. */
export function pagePath(type, patientId, pageNo = 0) {
  const first = `/${type}?patient=${patientId}&_count=${PAGE_SIZE}`;
  return pageNo === 0 ? first : `${first}&page=${digits(pageNo, PAGE_DIGITS)}`;
}

/** The paths of every page of every search, patient by patient. */
export function* allPagePaths({ patients, types, perSearch }) {
  const pages = Math.max(1, Math.ceil(perSearch / PAGE_SIZE));
  for (let patientNo = 0; patientNo < patients; patientNo++) {
    for (const type of types) {
      for (let pageNo = 0; pageNo < pages; pageNo++) yield pagePath(type, patientIdOf(patientNo), pageNo);
    }
  }
}

/** A compact resource of RESOURCE_BYTES, with placeholders for the patient and for its own number. */
function resourceText(type) {
  const resource = {
    resourceType: type,
    id: `${type.toLowerCase()}-${PATIENT}-${RESOURCE}`,
    meta: { versionId: '1', lastUpdated: '2026-03-01T12:00:00.000Z' },
    identifier: [{ system: 'urn:oid:1.2.840.114350.1.13.0.1.7.2.798268', value: RESOURCE }],
    code: {
      coding: [{ system: 'http://snomed.info/sct', code: '44054006', display: 'Diabetes mellitus type 2' }],
    },
    subject: { reference: `Patient/bench-${PATIENT}`, display: 'Bench, Patient' },
    valueQuantity: { value: 0, unit: 'mg/dL' },
    note: [{ text: '' }],
  };
  // Digits that JSON.parse and JSON.stringify would not keep.
  const text = JSON.stringify(resource).replace('"value":0', '"value":1.50');
  return text.replace(
    '"text":""',
    `"text":"${'a note of fair length '.repeat(50).slice(0, RESOURCE_BYTES - text.length)}"`,
  );
}

/** A text with placeholders, as bytes; `fill` gives a copy with the numbers in. */
function template(text) {
  const bytes = Buffer.from(text);
  const slots = [...text.matchAll(PLACEHOLDER)].map(({ 0: { length }, 1: kind, index }) => ({
    kind,
    index,
    length,
  }));
  return ({ patient, page, firstResource }) => {
    const filled = Buffer.from(bytes);
    // Two placeholders a resource: its id and its identifier.
    let resources = 0;
    for (const { kind, index, length } of slots) {
      const number =
        kind === 'P' ? patient : kind === 'N' ? page : digits(firstResource + (resources++ >> 1), length);
      filled.latin1Write(number, index, length);
    }
    return filled;
  };
}

/** What makes the pages of a server at `base`: (type, patient's digits, page's number) to the page's bytes. */
export function pageMaker(base, perSearch) {
  const templates = new Map();
  const templateOf = (type, count, hasNext) => {
    const key = `${type} ${count} ${hasNext}`;
    let made = templates.get(key);
    if (made === undefined) templates.set(key, (made = template(searchset(base, type, count, hasNext))));
    return made;
  };
  return (type, patient, pageNo) => {
    const firstResource = pageNo * PAGE_SIZE;
    const count = Math.max(0, Math.min(PAGE_SIZE, perSearch - firstResource));
    const fill = templateOf(type, count, firstResource + count < perSearch);
    return fill({ patient, page: digits(pageNo + 1, PAGE_DIGITS), firstResource });
  };
}

function searchset(base, type, count, hasNext) {
  const self = `${base}${pagePath(type, `bench-${PATIENT}`)}`;
  const links = [{ relation: 'self', url: self }];
  if (hasNext) links.push({ relation: 'next', url: `${self}&page=${PAGE}` });
  const resource = resourceText(type);
  const entries = Array.from(
    { length: count },
    () => `{"fullUrl":"urn:bench","resource":${resource},"search":{"mode":"match"}}`,
  );
  const head = JSON.stringify({ resourceType: 'Bundle', type: 'searchset', total: count, link: links });
  return `${head.slice(0, -1)},"entry":[${entries.join(',')}]}`;
}

/** What makes an export's files: (type, file's number) to so many lines. A file's number is its lines' patient. */
export function bulkFileMaker(linesPerFile) {
  const templates = new Map(
    TYPES.map((type) => [type, template(`${resourceText(type)}\n`.repeat(linesPerFile))]),
  );
  return (type, fileNo) => templates.get(type)({ patient: digits(fileNo, PATIENT_DIGITS), firstResource: 0 });
}
