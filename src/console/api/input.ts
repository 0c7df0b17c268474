import { didYouMean } from '../../config/nearest.ts';
import { RoundsError, type Problem } from '../../errors.ts';
import type { Ask } from '../exchange.ts';
import type { Operation, Parameter } from './operation.ts';

/** An operation's parameters, checked. Asking for one that the table does not name is a TypeError. */
export interface Input {
  text(name: string): string | undefined;
  /** Of a parameter that is required, or has a default. */
  given(name: string): string;
  number(name: string): number;
  flag(name: string): boolean;
  /** What the operation takes beside its own parameters, in the order of the request. */
  readonly others: readonly (readonly [name: string, value: string])[];
}

const LONGEST_VALUE = 2_000;

/**
 * Reads a request's parameters by the table. Throws CONSOLE_ASK_INVALID with every fault at once; names of parameters are
 * told and never a value, which may be a patient's name.
 */
export function readInput(
  operation: Pick<Operation, 'parameters' | 'takesOthers'>,
  { params, url }: Pick<Ask, 'params' | 'url'>,
): Input {
  const values = new Map<string, string>();
  const others: (readonly [string, string])[] = [];
  const problems: Problem[] = [];
  const named = new Map(operation.parameters.map((parameter) => [parameter.name, parameter]));
  const take = (name: string, value: string): void => {
    const parameter = named.get(name)!;
    const fault = values.has(name) ? 'is given twice' : faultOf(parameter, value);
    if (fault !== undefined) problems.push({ where: name, what: fault });
    values.set(name, value);
  };
  for (const { name, in: place } of operation.parameters) {
    if (place === 'path') take(name, params[name] ?? '');
  }
  for (const [name, value] of url.searchParams) {
    if (named.get(name)?.in === 'query') {
      // A form sends its empty fields, too.
      if (value !== '') take(name, value);
    } else if (operation.takesOthers) others.push([name, value]);
    else problems.push(unknown(name, named.keys()));
  }
  for (const { name, required } of operation.parameters) {
    if (required && !values.has(name)) problems.push({ where: name, what: 'is missing' });
  }
  if (problems.length > 0) throw new RoundsError('CONSOLE_ASK_INVALID', sentence(problems), { problems });
  return inputOf(named, values, others);
}

function inputOf(
  named: ReadonlyMap<string, Parameter>,
  values: ReadonlyMap<string, string>,
  others: Input['others'],
): Input {
  const text = (name: string): string | undefined => {
    const parameter = named.get(name);
    if (parameter === undefined) throw new TypeError(`the table has no parameter ${name}`);
    return values.get(name) ?? parameter.default;
  };
  const given = (name: string): string => {
    const value = text(name);
    if (value === undefined) throw new TypeError(`parameter ${name} may be missing`);
    return value;
  };
  return {
    text,
    given,
    number: (name) => Number(given(name)),
    flag: (name) => text(name) === 'true',
    others,
  };
}

function faultOf({ type, minimum, maximum, values, pattern }: Parameter, value: string): string | undefined {
  if (value.length > LONGEST_VALUE) return `has more than ${LONGEST_VALUE} characters`;
  // eslint-disable-next-line no-control-regex -- whatever could end a header or a line of a log
  if (/[\u0000-\u001f\u007f]/.test(value)) return 'holds a control character';
  if (values !== undefined && !values.includes(value)) return `is none of ${values.join(', ')}`;
  if (type === 'boolean' && !/^(true|false)$/.test(value)) return 'is neither true nor false';
  if (type === 'integer') {
    const number = /^\d{1,9}$/.test(value) ? Number(value) : undefined;
    const isWithin = number !== undefined && number >= (minimum ?? 0) && number <= (maximum ?? number);
    if (!isWithin)
      return `is no whole number from ${minimum ?? 0}${maximum === undefined ? '' : ` to ${maximum}`}`;
  }
  if (pattern !== undefined && !new RegExp(`^(?:${pattern})$`).test(value)) return 'is not of its form';
  return undefined;
}

function unknown(name: string, known: Iterable<string>): Problem {
  const isPlain = /^[\w.:-]{1,40}$/.test(name);
  return {
    where: isPlain ? name : 'a parameter',
    what: `is none of this operation${isPlain ? didYouMean(name, known) : ''}`,
  };
}

function sentence(problems: readonly Problem[]): string {
  return problems.map(({ where, what }) => `${where} ${what}`).join('; ');
}
