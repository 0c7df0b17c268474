import type { Answer, Ask, Route } from '../exchange.ts';
import { readInput, type Input } from './input.ts';
import type { SchemaName } from './schemas.ts';

/**
 * One operation of the API or the gateway. The table of these is all there is: routes, the OpenAPI document and the page
 * to try them out are made from it.
 */
export interface Operation {
  /** The document's operationId; names the operation on its page. */
  readonly key: string;
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly group: 'Console' | 'Gateway' | 'FHIR server';
  /** A few words. */
  readonly summary: string;
  /** Sentences, where there is more to say. */
  readonly text?: string;
  readonly parameters: readonly Parameter[];
  /** Names of further query parameters are taken as they come, each any number of times. */
  readonly takesOthers?: true;
  readonly answers: SchemaName;
  readonly open?: true;
  readonly quiet?: true;
  /** Whose record is asked for, as far as the request says. */
  readonly patientId?: (input: Input) => string | undefined;
  readonly answer: (input: Input, ask: Ask) => Promise<Answer> | Answer;
}

/** A parameter of an operation; its value is checked before the operation sees it. */
export interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query';
  readonly type: 'string' | 'integer' | 'boolean';
  readonly text: string;
  readonly required?: true;
  readonly default?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly values?: readonly string[];
  /** Of the whole value. */
  readonly pattern?: string;
  readonly example?: string;
}

type Rest = Partial<
  Pick<Operation, 'method' | 'text' | 'parameters' | 'takesOthers' | 'open' | 'quiet' | 'patientId'>
>;

/** Makes operations of one group: GET, and without parameters, unless said otherwise. */
export function operationsIn(group: Operation['group']) {
  return (
    key: string,
    path: string,
    answers: SchemaName,
    summary: string,
    rest: Rest & Pick<Operation, 'answer'>,
  ): Operation => ({ method: 'GET', parameters: [], key, path, group, answers, summary, ...rest });
}

type MoreOf = Partial<Omit<Parameter, 'name' | 'in' | 'type' | 'text'>>;

export function inPath(name: string, text: string, more: MoreOf = {}): Parameter {
  return { name, in: 'path', type: 'string', text, required: true, ...more };
}

export function inQuery(name: string, text: string, more: MoreOf = {}): Parameter {
  return { name, in: 'query', type: 'string', text, ...more };
}

export function integer(name: string, text: string, more: MoreOf = {}): Parameter {
  return { name, in: 'query', type: 'integer', text, ...more };
}

export const routesOf = (operations: readonly Operation[]): readonly Route[] => operations.map(routeOf);

function routeOf(operation: Operation): Route {
  const { method, path, open, quiet, patientId } = operation;
  return {
    method,
    path,
    ...(open === undefined ? {} : { open }),
    ...(quiet === undefined ? {} : { quiet }),
    ...(patientId === undefined ? {} : { patientId: (ask) => patientId(readInput(operation, ask)) }),
    answer: (ask) => operation.answer(readInput(operation, ask), ask),
  };
}

/** `GET /api/v1/runs` as the path of a request, its parameters encoded. `given`: by name; empty ones are left out. */
export function pathOf(
  { path, parameters }: Pick<Operation, 'path' | 'parameters'>,
  given: Iterable<readonly [name: string, value: string]>,
): string {
  const inPath = new Set(parameters.filter((one) => one.in === 'path').map(({ name }) => name));
  const query = new URLSearchParams();
  let filled = path;
  for (const [name, value] of given) {
    if (inPath.has(name)) filled = filled.replace(`{${name}}`, () => encodeURIComponent(value));
    else if (value !== '') query.append(name, value);
  }
  const search = query.toString();
  return search === '' ? filled : `${filled}?${search}`;
}
