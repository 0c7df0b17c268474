import { RoundsError } from '../errors.ts';
import { isJsonObject, parseJson, type JsonObject, type JsonValue } from './jsonBytes.ts';

/** What a server says it can do with one resource type. */
export interface TypeCapability {
  readonly read: boolean;
  readonly search: boolean;
  /** Names of its search parameters, `_id` among them where it is offered. */
  readonly searchParams: ReadonlySet<string>;
  /** Such as `MedicationRequest:medication`. */
  readonly includes: ReadonlySet<string>;
  /** Such as `Provenance:target`. */
  readonly revIncludes: ReadonlySet<string>;
}

/** The parts of a CapabilityStatement that decide how a list is pulled (FHIR R4, 5.1). */
export interface Capability {
  readonly fhirVersion: string;
  readonly software?: { readonly name: string; readonly version?: string };
  /** By resource type. */
  readonly types: ReadonlyMap<string, TypeCapability>;
}

/**
 * Reads the answer to `GET [base]/metadata`. Only `rest` parts of mode `server` count; a type that is named
 * twice has what either says. A type without `interaction` is taken to allow read and search, since there the
 * statement says nothing.
 * @throws RoundsError FHIR_NOT_JSON; FHIR_MALFORMED: no CapabilityStatement; FHIR_NOT_R4: of another version.
 */
export function readCapability(body: Buffer): Capability {
  const statement = parseJson(body);
  if (isJsonObject(statement) && statement.resourceType === 'Conformance') throw notR4('DSTU2');
  if (!isJsonObject(statement) || statement.resourceType !== 'CapabilityStatement') {
    throw new RoundsError('FHIR_MALFORMED', 'the answer to /metadata is no CapabilityStatement');
  }
  const { fhirVersion } = statement;
  if (typeof fhirVersion !== 'string' || !/^4\.0(\.|$)/.test(fhirVersion)) {
    throw notR4(typeof fhirVersion === 'string' && /^[\w.-]{1,20}$/.test(fhirVersion) ? fhirVersion : 'none');
  }
  const types = new Map<string, TypeCapability>();
  for (const rest of objectsIn(statement.rest)) {
    if (rest.mode !== 'server') continue;
    for (const resource of objectsIn(rest.resource)) {
      if (typeof resource.type !== 'string') continue;
      types.set(resource.type, joined(types.get(resource.type), typeCapabilityOf(resource)));
    }
  }
  const software = softwareOf(statement.software);
  return { fhirVersion, types, ...(software && { software }) };
}

function typeCapabilityOf(resource: JsonObject): TypeCapability {
  const interactions = namesIn(resource.interaction, 'code');
  const silent = interactions.length === 0;
  return {
    read: silent || interactions.includes('read'),
    search: silent || interactions.includes('search-type'),
    searchParams: new Set(namesIn(resource.searchParam, 'name')),
    includes: new Set(stringsIn(resource.searchInclude)),
    revIncludes: new Set(stringsIn(resource.searchRevInclude)),
  };
}

function joined(one: TypeCapability | undefined, other: TypeCapability): TypeCapability {
  if (!one) return other;
  return {
    read: one.read || other.read,
    search: one.search || other.search,
    searchParams: new Set([...one.searchParams, ...other.searchParams]),
    includes: new Set([...one.includes, ...other.includes]),
    revIncludes: new Set([...one.revIncludes, ...other.revIncludes]),
  };
}

function softwareOf(value: JsonValue | undefined): Capability['software'] {
  if (!isJsonObject(value) || typeof value.name !== 'string') return undefined;
  return { name: value.name, ...(typeof value.version === 'string' && { version: value.version }) };
}

function objectsIn(value: JsonValue | undefined): readonly JsonObject[] {
  return Array.isArray(value) ? value.filter(isJsonObject) : [];
}

function namesIn(value: JsonValue | undefined, key: string): readonly string[] {
  return stringsIn(objectsIn(value).map((item) => item[key] ?? null));
}

function stringsIn(value: JsonValue | undefined): readonly string[] {
  return Array.isArray(value) ? value.filter((item): item is string => typeof item === 'string') : [];
}

function notR4(found: string): RoundsError {
  return new RoundsError('FHIR_NOT_R4', `the server speaks FHIR version ${found}, not 4.0`);
}
