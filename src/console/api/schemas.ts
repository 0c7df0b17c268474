/** The shapes of answers, as JSON Schema 2020-12 (which OpenAPI 3.1 speaks). A test holds every answer to its shape. */
export type JsonSchema = Readonly<Record<string, unknown>>;

const string = { type: 'string' } as const;
const number = { type: 'integer' } as const;
const instant = { type: 'string', format: 'date-time' } as const;
const maybe = (schema: JsonSchema): JsonSchema => ({ anyOf: [schema, { type: 'null' }] });
const listOf = (items: JsonSchema): JsonSchema => ({ type: 'array', items });
const oneOf = (...values: readonly string[]): JsonSchema => ({ enum: values });
const ref = (name: string): JsonSchema => ({ $ref: `#/components/schemas/${name}` });

/** An object with these members, all of them, and no others. */
function object(properties: Readonly<Record<string, JsonSchema>>, description?: string): JsonSchema {
  return {
    type: 'object',
    ...(description === undefined ? {} : { description }),
    properties,
    required: Object.keys(properties),
    additionalProperties: false,
  };
}

/** A page of a list: `next` is the path of the page after it, null at the end. */
const pageOf = (items: JsonSchema, more: Readonly<Record<string, JsonSchema>> = {}): JsonSchema =>
  object({ ...more, items: listOf(items), next: maybe(string) });

const counts = object({ planned: number, ok: number, empty: number, gap: number, failed: number });
const verdict = oneOf('healthy', 'running', 'late', 'partial', 'failed');
const request = object({
  ...{ requestNo: number, job: string },
  kind: oneOf('run', 'dry-run', 'retry-failed', 'cancel'),
  state: oneOf('waiting', 'taken', 'done', 'refused'),
  ...{ askedAt: instant, endedAt: maybe(instant), runId: maybe(string), answer: maybe(string) },
});
const runStatus = oneOf('complete', 'partial', 'failed', 'abandoned');

export const SCHEMAS = {
  Error: object(
    { error: object({ code: string, message: string, hint: string }) },
    'What is wrong and what to do. Codes are stable, and `fhir-rounds explain CODE` says more of them.',
  ),
  Request: request,
  Requests: object({ items: listOf(ref('Request')) }),
  Session: object({ session: string, csrfToken: string }),
  Health: object({
    verdict,
    why: string,
    next: maybe(string),
    jobs: listOf(
      object({
        job: string,
        verdict: oneOf('healthy', 'running', 'interrupted', 'late', 'never run', 'partial', 'failed'),
        why: string,
        next: maybe(string),
        lastRun: maybe(string),
        nextRun: maybe(instant),
        progress: maybe(object({ done: number, planned: number })),
        warnings: listOf(string),
      }),
    ),
    outbox: object({ mails: number, held: number, lastCode: maybe(string) }),
    disk: object({ folder: string, freeBytes: number, runsLeft: maybe(number) }),
  }),
  Alive: object({ status: verdict }),
  Config: object({
    file: string,
    warnings: listOf(string),
    settings: listOf(
      object({ jobName: string, section: string, key: string, value: string, source: string }),
    ),
  }),
  Jobs: object({
    items: listOf(
      object({
        job: string,
        method: oneOf('crawl', 'bulk'),
        server: string,
        environment: oneOf('sandbox', 'production'),
        gateway: oneOf('open', 'roster', 'off'),
        cron: maybe(string),
      }),
    ),
  }),
  Run: object({
    runId: string,
    job: string,
    state: oneOf('open', 'closed'),
    status: maybe(runStatus),
    baseRunId: maybe(string),
    server: string,
    startedAt: instant,
    finishedAt: maybe(instant),
    resumed: number,
    folder: maybe(string),
    summary: maybe({
      type: 'object',
      description: 'As `fhir-rounds show RUN --json` gives it: counts, codes and roster lines.',
      required: ['runId', 'status', 'searches', 'types', 'causes'],
    }),
  }),
  Runs: pageOf(ref('Run')),
  Searches: pageOf(
    object({
      resourceType: string,
      outcome: oneOf('gap', 'failed'),
      code: string,
      epicCode: maybe(string),
      httpStatus: maybe(number),
      rosterLine: maybe(number),
    }),
    {
      searches: maybe(counts),
      types: listOf(object({ resourceType: string, records: number, searches: counts })),
    },
  ),
  Files: pageOf(
    object({
      url: string,
      kind: oneOf('output', 'deleted', 'error', 'other'),
      type: maybe(string),
      count: maybe(number),
      bytes: number,
      sha256: string,
    }),
    { folder: string },
  ),
  OpenApi: { type: 'object', required: ['openapi', 'info', 'paths', 'components'] },
  Token: {
    type: 'object',
    properties: {
      tokenEndpoint: string,
      expiresInSeconds: number,
      requestedScopes: listOf(string),
      grantedScopes: maybe(listOf(string)),
      missingScopes: listOf(string),
      clockSkewMs: maybe(number),
      accessToken: { type: 'string', description: 'With show=true alone.' },
    },
    required: ['tokenEndpoint', 'expiresInSeconds', 'requestedScopes', 'grantedScopes', 'missingScopes'],
    additionalProperties: false,
  },
  ConfigInfo: object({
    job: string,
    method: oneOf('crawl', 'bulk'),
    fhirBase: string,
    tokenEndpoint: maybe(string),
    clientId: string,
    algorithm: string,
    scope: maybe(string),
    environment: oneOf('sandbox', 'production'),
    gateway: oneOf('open', 'roster', 'off'),
  }),
  JwkSet: object({
    keys: listOf({
      type: 'object',
      properties: {
        kty: oneOf('RSA', 'EC'),
        kid: string,
        alg: string,
        use: { const: 'sig' },
        key_ops: { const: ['verify'] },
        n: string,
        e: string,
        crv: string,
        x: string,
        y: string,
      },
      required: ['kty', 'kid', 'use'],
      additionalProperties: false,
    }),
  }),
  Resource: {
    type: 'object',
    description: 'A FHIR R4 resource with the server’s own bytes; of a refusal, its OperationOutcome.',
    properties: { resourceType: string },
    required: ['resourceType'],
  },
  Searchset: {
    type: 'object',
    description:
      'A Bundle of type searchset with the server’s own bytes; of a refusal, its OperationOutcome.',
    properties: { resourceType: oneOf('Bundle', 'OperationOutcome') },
    required: ['resourceType'],
  },
  Answers: {
    type: 'object',
    description: 'A Bundle of type batch-response: each entry one question, with the bytes of its answer.',
    properties: {
      resourceType: { const: 'Bundle' },
      type: { const: 'batch-response' },
      entry: listOf({
        type: 'object',
        properties: {
          link: listOf(object({ relation: { const: 'self' }, url: string })),
          resource: { type: 'object', required: ['resourceType'] },
          response: { type: 'object', properties: { status: string }, required: ['status'] },
        },
        required: ['link', 'response'],
      }),
    },
    required: ['resourceType', 'type', 'entry'],
  },
  TestPatients: object({
    source: string,
    items: listOf(object({ name: string, fhirId: string, mrn: string, path: string })),
  }),
  SearchExamples: object({
    source: string,
    items: listOf(object({ family: string, given: maybe(string), finds: string, path: string })),
  }),
} as const satisfies Record<string, JsonSchema>;

export type SchemaName = keyof typeof SCHEMAS;
