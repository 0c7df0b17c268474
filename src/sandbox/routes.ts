import { capabilityStatement, smartConfiguration } from './capability.ts';
import { FHIR_JSON, jsonAnswer, PLAIN_JSON, type Exchange, type Route } from './exchange.ts';
import type { FaultSubject } from './faultScript.ts';
import type { FhirHandlers } from './fhirHandlers.ts';
import type { AuthorizationServer } from './oauth.ts';
import { relativeReference } from './parameterMatch.ts';
import type { PagingSessions } from './paging.ts';
import { PATIENT_PARAMETERS } from './rules.ts';
import type { Parameters, SearchContext } from './search.ts';

/** Epic's layout under an origin. */
const ROOT_PATH = '/interconnect-fhir-oauth';
export const FHIR_PATH = `${ROOT_PATH}/api/FHIR/R4`;
export const TOKEN_PATH = `${ROOT_PATH}/oauth2/token`;

export interface RouteOptions {
  readonly context: SearchContext;
  readonly tokenEndpoint: string;
  readonly authorization: AuthorizationServer;
  readonly fhir: FhirHandlers;
  readonly sessions: PagingSessions;
}

const escaped = (path: string) => path.replaceAll('.', '\\.');
const at = (path: string) => new RegExp(`^${escaped(FHIR_PATH)}${path}$`);

function patientOf(parameters: Parameters, type: string, fhirBase: string): string | undefined {
  const names: readonly string[] = type === 'Patient' ? ['_id'] : PATIENT_PARAMETERS;
  const value = parameters.find(([name]) => names.includes(name))?.[1];
  return value === undefined
    ? undefined
    : relativeReference(value, fhirBase, 'Patient').replace(/^Patient\//, '');
}

/** The FHIR and OAuth routes. Whole new paths (bulk export) are further rows of this table. */
export function fhirRoutes(options: RouteOptions): readonly Route[] {
  const { context, tokenEndpoint, authorization, fhir, sessions } = options;
  const plain = (endpoint: FaultSubject['endpoint']) => (exchange: Exchange) => ({
    endpoint,
    query: '',
    url: exchange.url,
  });

  function searchSubject(exchange: Exchange, groups: readonly string[]): FaultSubject {
    const type = groups[0] ?? '';
    const sessionId = exchange.query.find(([name]) => name === 'sessionID')?.[1];
    const parameters =
      sessionId === undefined ? exchange.query : (sessions.find(sessionId)?.parameters ?? []);
    const page = sessionId === undefined ? 1 : Number(exchange.query.find(([name]) => name === 'page')?.[1]);
    return {
      endpoint: sessionId === undefined ? 'search' : 'page',
      type,
      patientId: patientOf(parameters, type, context.fhirBase),
      query: parameters.map(([name, value]) => `${name}=${value}`).join('&'),
      page,
      url: exchange.url,
    };
  }

  return [
    {
      methods: ['POST'],
      pattern: new RegExp(`^${TOKEN_PATH}$`),
      subject: plain('token'),
      async handle(exchange, _groups, fault) {
        const answer = await authorization.token(exchange.body, exchange.header('content-type'), {
          ...(fault && 'tokenLifeSeconds' in fault ? { tokenLifeSeconds: fault.tokenLifeSeconds } : {}),
          ...(fault && 'dropScope' in fault ? { dropScope: fault.dropScope } : {}),
        });
        return {
          status: answer.status,
          contentType: PLAIN_JSON,
          body: Buffer.from(answer.body),
          headers: { 'Cache-Control': 'no-store', Pragma: 'no-cache' },
          ...(answer.reason === undefined ? {} : { reason: answer.reason }),
        };
      },
    },
    {
      methods: ['GET'],
      pattern: at('/metadata'),
      subject: plain('metadata'),
      handle: async () => ({
        status: 200,
        contentType: FHIR_JSON,
        body: Buffer.from(JSON.stringify(capabilityStatement({ ...context, tokenEndpoint }))),
      }),
    },
    {
      methods: ['GET'],
      pattern: at('/\\.well-known/smart-configuration'),
      subject: plain('smart'),
      handle: async () => jsonAnswer(200, smartConfiguration(tokenEndpoint)),
    },
    {
      methods: ['POST'],
      pattern: at('/([A-Z][A-Za-z]+)/_search'),
      subject: searchSubject,
      handle: async (exchange, groups, fault) => fhir.search(exchange, groups[0] ?? '', fault),
    },
    {
      methods: ['GET'],
      pattern: at('/([A-Z][A-Za-z]+)'),
      subject: searchSubject,
      handle: async (exchange, groups, fault) => fhir.search(exchange, groups[0] ?? '', fault),
    },
    {
      methods: ['GET'],
      pattern: at('/([A-Z][A-Za-z]+)/([^/$_][^/]*)'),
      subject: (exchange, [type = '', id = '']) => {
        const owner = type === 'Patient' ? id : context.population.read(type, id)?.patients[0];
        return { endpoint: 'read', type, id, patientId: owner, query: '', url: exchange.url };
      },
      handle: async (exchange, [type = '', id = '']) => fhir.read(exchange, type, id),
    },
  ];
}
