import { RoundsError } from '../errors.ts';
import type { HttpRequest } from '../system/http.ts';
import type { OperationOutcomeIssue } from './outcome.ts';
import type { Dialect } from './searchRules.ts';

/** The kick-off of an export (Bulk Data Access 2.0.0 and 3.0.0, "Bulk Data Kick-off Request"), as a request to send. */

/** What is asked of `$export`. Plain JSON: it is stored, and compared with what is asked later. */
export interface ExportRequest {
  readonly level: 'system' | 'patient' | 'group';
  /** For `group`. */
  readonly groupId: string | undefined;
  readonly method: 'get' | 'post';
  /** `_type`; empty: not sent. */
  readonly types: readonly string[];
  /** `Observation?category=laboratory&date=ge2020`, each one query, its values encoded as in a search's URL. */
  readonly typeFilters: readonly string[];
  /** Instants. */
  readonly since: string | undefined;
  readonly until: string | undefined;
  readonly elements: readonly string[];
  readonly includeAssociatedData: readonly string[];
  readonly organizeOutputBy: string | undefined;
  readonly allowPartialManifests: boolean;
  readonly outputFormat: string | undefined;
  /** Logical ids; empty: all patients of the level. By POST only, and not at system level. */
  readonly patients: readonly string[];
  /** `Prefer: handling=lenient`: the server may pass over parameters that it does not know. */
  readonly lenient: boolean;
  readonly separateExportStatus: boolean;
}

/** One `parameter` of a Parameters resource, and the value that it is in a URL. */
interface ExportParameter {
  readonly name: string;
  readonly kind: 'valueString' | 'valueInstant' | 'valueCode' | 'valueBoolean' | 'valueReference';
  readonly value: string;
}

/** The parameters of `$export`; each is named by one member of the request and left out where that is empty. */
const MEMBERS = {
  _outputFormat: 'outputFormat',
  _since: 'since',
  _until: 'until',
  _type: 'types',
  _elements: 'elements',
  patient: 'patients',
  includeAssociatedData: 'includeAssociatedData',
  _typeFilter: 'typeFilters',
  organizeOutputBy: 'organizeOutputBy',
  allowPartialManifests: 'allowPartialManifests',
} as const satisfies Record<string, keyof ExportRequest>;
type ParameterName = keyof typeof MEMBERS;

/** A request that has nothing but its level. */
const NOTHING = {
  outputFormat: undefined,
  since: undefined,
  until: undefined,
  types: [],
  elements: [],
  patients: [],
  includeAssociatedData: [],
  typeFilters: [],
  organizeOutputBy: undefined,
  allowPartialManifests: false,
} as const satisfies Pick<ExportRequest, (typeof MEMBERS)[ParameterName]>;

const FHIR_JSON = 'application/fhir+json';

/**
 * The request that begins an export; may be repeated, and each time begins another. Without the token.
 * In a URL every value is encoded so that one decoding gives it back. `_typeFilter` stands there once for each
 * query (3.0.0). In the epic dialect all queries stand in one, separated by commas, and the commas within a query are
 * encoded a second time (seen at Epic, M; the form of 2.0.0).
 * @param fhirBase without a slash at its end
 * @throws RoundsError CONFIG_INVALID: a group export without a group; patients by GET or at system level, which the
 * standard does not have, and which a server that passes over them would answer with everybody's data. URL_REFUSED: a
 * group id of dots alone.
 */
export function kickoffRequest(fhirBase: string, request: ExportRequest, dialect: Dialect): HttpRequest {
  if (request.patients.length > 0 && (request.method === 'get' || request.level === 'system')) {
    throw new RoundsError(
      'CONFIG_INVALID',
      'an export of named patients is a POST at patient or group level',
    );
  }
  const url = `${fhirBase}/${pathOf(request)}$export`;
  const parameters = parametersOf(request, dialect);
  const headers = { accept: FHIR_JSON, prefer: preferences(request) };
  if (request.method === 'post') {
    const parameter = parameters.map(({ name, kind, value }) => ({ name, [kind]: jsonValue(kind, value) }));
    const body = JSON.stringify({ resourceType: 'Parameters', parameter });
    return { method: 'POST', url, headers: { ...headers, 'content-type': FHIR_JSON }, body };
  }
  const query = parameters.map(({ name, value }) => `${name}=${encodeURIComponent(value)}`).join('&');
  return { method: 'GET', url: query === '' ? url : `${url}?${query}`, headers };
}

/** The parameters that a request sends, in order. The names may be logged; the values name patients and dates. */
export function exportParameters(
  request: ExportRequest,
): readonly (readonly [name: string, value: string])[] {
  return parametersOf(request, 'plain').map(({ name, value }) => [name, value]);
}

/**
 * The request without these parameters; names that it does not send change nothing. Without `_type`, `_typeFilter`
 * or `patient` it asks for more than before: whoever leaves these out has to want that.
 */
export function withoutParameters(request: ExportRequest, names: readonly string[]): ExportRequest {
  const members = names.flatMap((name) => (isParameter(name) ? [MEMBERS[name]] : []));
  return members.reduce<ExportRequest>((rest, member) => ({ ...rest, [member]: NOTHING[member] }), request);
}

/**
 * Which of the parameters that were sent an OperationOutcome complains of: those whose names stand, as whole words, in
 * an issue's text, expression or location. What is mere information is no complaint.
 *
 * `patient` is also the word for a person ("a patient is not in the group"), and taking that for the parameter would
 * lead to asking for everybody. So it has to stand alone in an expression or location, in quotes, or beside the word
 * "parameter".
 */
export function refusedParameters(
  request: ExportRequest,
  issues: readonly OperationOutcomeIssue[],
): readonly string[] {
  const complaints = issues.filter(({ severity }) => severity !== 'information');
  const sent = new Set(exportParameters(request).map(([name]) => name));
  return [...sent].filter((name) =>
    complaints.some(({ text, places }) =>
      name === 'patient'
        ? PATIENT_IN_TEXT.test(text) || places.some((place) => PATIENT_IN_PLACE.test(place))
        : [text, ...places].some((words) => wholeWord(name).test(words)),
    ),
  );
}

const PATIENT_IN_TEXT = /\bparameters?:? patient(?!\w)|(?<![\w/.])patient parameter\b|(['"`])patient\1/;
/** `patient`, `http.patient`, `Parameters.parameter.where(name='patient')`. */
const PATIENT_IN_PLACE = /^(?:http\.|Parameters\.)?patient$|(['"])patient\1/;

/** Underlines are letters of a name, so that `_type` does not stand in `_typeFilter`. */
function wholeWord(name: string): RegExp {
  return new RegExp(`(?<!\\w)${name}(?!\\w)`, 'i');
}

function isParameter(name: string): name is ParameterName {
  return Object.hasOwn(MEMBERS, name);
}

function pathOf({ level, groupId }: ExportRequest): string {
  if (level === 'system') return '';
  if (level === 'patient') return 'Patient/';
  if (groupId === undefined || groupId === '') {
    throw new RoundsError('CONFIG_INVALID', 'an export of a group needs [bulk] group_id');
  }
  // encodeURIComponent leaves dots alone, and the path `Group/..` is the base.
  if (/^\.{1,2}$/.test(groupId)) throw new RoundsError('URL_REFUSED', 'an id of dots alone is a path');
  return `Group/${encodeURIComponent(groupId)}/`;
}

/** 3.0.0 writes further preferences behind `respond-async`, after commas (RFC 7240). */
function preferences({ lenient, separateExportStatus }: ExportRequest): string {
  return [
    'respond-async',
    ...(lenient ? ['handling=lenient'] : []),
    ...(separateExportStatus ? ['separate-export-status'] : []),
  ].join(', ');
}

/** Types of the values by the OperationDefinitions of 3.0.0. */
function parametersOf(request: ExportRequest, dialect: Dialect): readonly ExportParameter[] {
  const some = (
    name: ParameterName,
    kind: ExportParameter['kind'],
    values: readonly (string | undefined)[],
  ) => values.flatMap((value) => (value === undefined ? [] : [{ name, kind, value }]));
  const listed = (values: readonly string[]) => (values.length === 0 ? [] : [values.join(',')]);
  const { typeFilters, includeAssociatedData } = request;
  return [
    ...some('_outputFormat', 'valueString', [request.outputFormat]),
    ...some('_since', 'valueInstant', [request.since]),
    ...some('_until', 'valueInstant', [request.until]),
    ...some('_type', 'valueString', listed(request.types)),
    ...some('_elements', 'valueString', listed(request.elements)),
    ...some(
      'patient',
      'valueReference',
      request.patients.map((patientId) => `Patient/${patientId}`),
    ),
    // A code is one value; in a URL they are a list.
    ...some(
      'includeAssociatedData',
      'valueCode',
      request.method === 'post' ? includeAssociatedData : listed(includeAssociatedData),
    ),
    ...some(
      '_typeFilter',
      'valueString',
      dialect === 'epic' ? listed(typeFilters.map((query) => query.replaceAll(',', '%2C'))) : typeFilters,
    ),
    ...some('organizeOutputBy', 'valueString', [request.organizeOutputBy]),
    ...some('allowPartialManifests', 'valueBoolean', [request.allowPartialManifests ? 'true' : undefined]),
  ];
}

function jsonValue(kind: ExportParameter['kind'], value: string): string | boolean | object {
  if (kind === 'valueBoolean') return value === 'true';
  return kind === 'valueReference' ? { reference: value } : value;
}
