import type { Operation, Parameter } from './operation.ts';
import { SCHEMAS, type JsonSchema } from './schemas.ts';

const DESCRIPTION =
  'The local console of fhir-rounds as programs see it. All but the open paths need the session of a one-time link ' +
  '(`fhir-rounds console --link`), and what is not GET its CSRF token in the header X-CSRF-Token. Facts of runs hold ' +
  'no PHI: patients are lines of the roster. What the FHIR server answers is PHI.';

/** Everything below `/fhir` has the server's own content type. */
const FHIR_JSON = 'application/fhir+json';
const FROM_SERVER: readonly string[] = ['Resource', 'Searchset', 'Answers'];

/** The OpenAPI 3.1 document of these operations. */
export function openApiDocument(
  operations: readonly Operation[],
  about: { readonly version: string; readonly cookie: string },
): JsonSchema {
  const paths: Record<string, Record<string, JsonSchema>> = {};
  for (const operation of operations) {
    const path = (paths[operation.path] ??= {});
    path[operation.method.toLowerCase()] = operationObject(operation);
  }
  return {
    openapi: '3.1.0',
    info: { title: 'fhir-rounds', version: about.version, description: DESCRIPTION },
    servers: [{ url: '/' }],
    tags: [...new Set(operations.map(({ group }) => group))].map((name) => ({ name })),
    security: [{ session: [] }],
    paths,
    components: {
      schemas: SCHEMAS,
      securitySchemes: {
        session: { type: 'apiKey', in: 'cookie', name: about.cookie },
        csrf: { type: 'apiKey', in: 'header', name: 'X-CSRF-Token' },
      },
    },
  };
}

function operationObject(operation: Operation): JsonSchema {
  const { key, method, group, summary, text, parameters, answers, open } = operation;
  const contentType = FROM_SERVER.includes(answers) ? FHIR_JSON : 'application/json';
  return {
    operationId: key,
    tags: [group],
    summary,
    ...(text === undefined ? {} : { description: text }),
    ...(open ? { security: [] } : method === 'POST' ? { security: [{ session: [], csrf: [] }] } : {}),
    parameters: [...parameters.map(parameterObject), ...(operation.takesOthers ? [OTHERS] : [])],
    responses: {
      200: { description: summary, content: contentOf(contentType, answers) },
      ...(group === 'FHIR server'
        ? { '4XX': { description: 'Refused: by the server in its own words, or by the console.' } }
        : {}),
      default: { description: 'Refused, or failed.', content: contentOf('application/json', 'Error') },
    },
  };
}

const OTHERS = {
  name: 'others',
  in: 'query',
  description: 'Any search parameters of the type.',
  style: 'form',
  explode: true,
  schema: { type: 'object', additionalProperties: { type: 'string' } },
};

function contentOf(contentType: string, schema: string): JsonSchema {
  return { [contentType]: { schema: { $ref: `#/components/schemas/${schema}` } } };
}

function parameterObject(parameter: Parameter): JsonSchema {
  const { name, in: place, type, text, required, minimum, maximum, values, pattern, example } = parameter;
  const fallback = parameter.default;
  const typed = (value: string): string | number | boolean =>
    type === 'integer' ? Number(value) : type === 'boolean' ? value === 'true' : value;
  return {
    name,
    in: place,
    description: text,
    required: place === 'path' || required === true,
    schema: {
      type,
      ...(minimum === undefined ? {} : { minimum }),
      ...(maximum === undefined ? {} : { maximum }),
      ...(values === undefined ? {} : { enum: values }),
      ...(pattern === undefined ? {} : { pattern: `^(?:${pattern})$` }),
      ...(fallback === undefined ? {} : { default: typed(fallback) }),
    },
    ...(example === undefined ? {} : { example: typed(example) }),
  };
}
