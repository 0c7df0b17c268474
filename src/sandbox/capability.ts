import type { Population } from './population/types.ts';
import { WORKING_OBSERVATION_CATEGORIES, type Dialect, type TypeRule } from './rules.ts';

/** What the statement is about. */
export interface CapabilityOptions {
  readonly dialect: Dialect;
  readonly fhirBase: string;
  readonly tokenEndpoint: string;
  readonly rules: ReadonlyMap<string, TypeRule>;
  readonly population: Population;
}

function documentation(type: string, parameter: string, options: CapabilityOptions): string | undefined {
  if (options.dialect !== 'epic' || parameter !== 'category') return undefined;
  if (type === 'Observation') {
    return `Either category or code is required. Categories: ${WORKING_OBSERVATION_CATEGORIES.join(', ')}`;
  }
  if (type === 'CarePlan') return `Required. Categories: ${options.population.carePlanCategories.join(', ')}`;
  return undefined;
}

const EXPORT = 'http://hl7.org/fhir/uv/bulkdata/OperationDefinition';

/** The `$export` operations: at a resource type, or (undefined) of the system. Epic exports groups only. */
function exportOperation(dialect: Dialect, type: string | undefined): object {
  const operation = (name: string) => ({ operation: [{ name: 'export', definition: `${EXPORT}/${name}` }] });
  if (type === 'Group') return operation('group-export');
  if (dialect === 'epic') return {};
  if (type === 'Patient') return operation('patient-export');
  return type === undefined ? operation('export') : {};
}

/** The CapabilityStatement (FHIR R4, section 5.2): each type with what the server really does. */
export function capabilityStatement(options: CapabilityOptions): unknown {
  const resources = [...options.rules.values()]
    .sort((a, b) => a.type.localeCompare(b.type))
    .map((rule) => {
      const searchable = rule.access !== 'read';
      // Of the types that patients share, only `_id` finds anything here: so only `_id` is offered.
      const named = rule.access === 'patient' ? rule.parameters : [];
      const parameters = named.map(({ name, kind }) => {
        const text = documentation(rule.type, name, options);
        return { name, type: kind, ...(text === undefined ? {} : { documentation: text }) };
      });
      const includes = named.filter((p) => p.kind === 'reference').map((p) => `${rule.type}:${p.name}`);
      return {
        type: rule.type,
        interaction: [{ code: 'read' }, ...(searchable ? [{ code: 'search-type' }] : [])],
        versioning: 'no-version',
        readHistory: false,
        updateCreate: false,
        ...exportOperation(options.dialect, rule.type),
        ...(searchable
          ? {
              ...(includes.length > 0 ? { searchInclude: includes } : {}),
              searchRevInclude: ['Provenance:target'],
              searchParam: [
                { name: '_id', type: 'token' },
                { name: '_count', type: 'number' },
                ...(options.dialect === 'us-core' ? [{ name: '_lastUpdated', type: 'date' }] : []),
                ...parameters,
              ],
            }
          : {}),
      };
    });
  return {
    resourceType: 'CapabilityStatement',
    status: 'active',
    date: '2026-01-01',
    publisher: 'fhir-rounds sandbox',
    kind: 'instance',
    software: {
      name: options.dialect === 'epic' ? 'Sandbox in the manner of Epic' : 'Sandbox, US Core dialect',
    },
    implementation: { description: 'Sandbox with generated or given patients', url: options.fhirBase },
    fhirVersion: '4.0.1',
    instantiates: ['http://hl7.org/fhir/uv/bulkdata/CapabilityStatement/bulk-data'],
    format: ['application/fhir+json', 'json'],
    rest: [
      {
        mode: 'server',
        security: {
          extension: [
            {
              url: 'http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris',
              extension: [{ url: 'token', valueUri: options.tokenEndpoint }],
            },
          ],
          service: [
            {
              coding: [
                {
                  system: 'http://terminology.hl7.org/CodeSystem/restful-security-service',
                  code: 'SMART-on-FHIR',
                },
              ],
            },
          ],
        },
        resource: resources,
        ...exportOperation(options.dialect, undefined),
      },
    ],
  };
}

/** `.well-known/smart-configuration` (SMART App Launch 2.0; Backend Services). */
export function smartConfiguration(tokenEndpoint: string): unknown {
  return {
    token_endpoint: tokenEndpoint,
    grant_types_supported: ['client_credentials'],
    token_endpoint_auth_methods_supported: ['private_key_jwt'],
    token_endpoint_auth_signing_alg_values_supported: ['RS256', 'RS384', 'RS512', 'ES256', 'ES384'],
    scopes_supported: ['system/*.read', 'system/*.rs'],
    capabilities: ['client-confidential-asymmetric', 'permission-v1', 'permission-v2'],
  };
}
