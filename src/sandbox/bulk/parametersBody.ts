import type { Parameters } from '../search.ts';

/** The value types that a parameter of `$export` may have in a POST (OperationDefinition export, 2.0.0 and 3.0.0). */
const VALUE_TYPES: Readonly<Record<string, readonly string[]>> = {
  _outputFormat: ['valueString'],
  _since: ['valueInstant'],
  _until: ['valueInstant'],
  _type: ['valueString'],
  _elements: ['valueString'],
  patient: ['valueReference'],
  includeAssociatedData: ['valueString', 'valueCode'],
  _typeFilter: ['valueString'],
  organizeOutputBy: ['valueString', 'valueCode'],
  allowPartialManifests: ['valueBoolean'],
};

export type BodyDecision =
  | { readonly kind: 'parameters'; readonly parameters: Parameters }
  | { readonly kind: 'refused'; readonly why: string };

const refused = (why: string): BodyDecision => ({ kind: 'refused', why });

interface GivenParameter {
  readonly name?: unknown;
  readonly [member: string]: unknown;
}

/** The parameters of a posted `Parameters` resource, in order. Names that are unknown are left to the caller. */
export function parametersOfBody(body: string): BodyDecision {
  let parsed: { resourceType?: unknown; parameter?: unknown };
  try {
    parsed = JSON.parse(body) as typeof parsed;
  } catch {
    return refused('the body is not JSON');
  }
  if (typeof parsed !== 'object' || parsed?.resourceType !== 'Parameters') {
    return refused('the body is not a Parameters resource');
  }
  const given = parsed.parameter ?? [];
  if (!Array.isArray(given)) return refused('parameter is not a list');
  const parameters: [string, string][] = [];
  for (const item of given as GivenParameter[]) {
    const { name, ...members } = item;
    const [kind, ...more] = Object.keys(members);
    if (typeof name !== 'string' || kind === undefined || more.length > 0) {
      return refused('a parameter has no name, or not exactly one value');
    }
    const allowed = VALUE_TYPES[name];
    if (allowed && !allowed.includes(kind)) return refused(`${name} must have ${allowed.join(' or ')}`);
    const raw = members[kind];
    const value = kind === 'valueReference' ? (raw as { reference?: unknown } | null)?.reference : raw;
    const isBoolean = kind === 'valueBoolean' && typeof value === 'boolean';
    if (typeof value !== 'string' && !isBoolean) return refused(`${name} has a value of another type`);
    parameters.push([name, String(value)]);
  }
  return { kind: 'parameters', parameters };
}
