import { matchesParameter, parseDateParameter } from '../parameterMatch.ts';
import type { StoredResource } from '../population/types.ts';
import { REFUSED_OBSERVATION_CATEGORIES, type ParameterRule } from '../rules.ts';
import type { SearchContext } from '../search.ts';

/** One `_typeFilter` understood: all criteria have to hold. */
export interface TypeFilter {
  readonly type: string;
  readonly criteria: readonly { readonly rule: ParameterRule; readonly wanted: string }[];
}

export type TypeFilterDecision =
  | { readonly kind: 'filter'; readonly filter: TypeFilter }
  | { readonly kind: 'refused'; readonly why: string };

/** Search result parameters: no criteria (Bulk Data Access 3.0.0, "_typeFilter Query Parameter"). */
const RESULT_PARAMETERS = /^_(sort|count|include|revinclude|summary|total|elements|contained|containedType)$/;

const refused = (why: string): TypeFilterDecision => ({ kind: 'refused', why });

/**
 * The queries in one `_typeFilter` value, decoded once already. In 2.0 and 3.0 it is one query, commas and all;
 * Epic separates queries by commas, so that a comma within one has to be encoded a second time (M).
 */
export function queriesOf(value: string, context: SearchContext): readonly string[] {
  return context.dialect === 'epic' ? value.split(',') : [value];
}

/** Understands `Type?name=value&...`, whose names and values are decoded a second time, as a search's are. */
export function typeFilterOf(query: string, context: SearchContext): TypeFilterDecision {
  const [, type = '', search = ''] = /^([A-Z][A-Za-z]+)\?(.+)$/s.exec(query) ?? [];
  if (type === '') return refused('a _typeFilter is not of the form Type?parameter=value');
  const rule = context.rules.get(type);
  if (!rule) return refused(`_typeFilter names ${type}, which is not supported`);
  const criteria: { rule: ParameterRule; wanted: string }[] = [];
  for (const [name, wanted] of new URLSearchParams(search)) {
    if (RESULT_PARAMETERS.test(name)) return refused(`_typeFilter holds the search result parameter ${name}`);
    const known: ParameterRule | undefined =
      name === '_id'
        ? { name, kind: 'uri', paths: ['id'] }
        : name === '_lastUpdated' && context.dialect !== 'epic'
          ? { name, kind: 'date', paths: ['meta.lastUpdated'] }
          : rule.parameters.find((parameter) => parameter.name === name);
    if (!known) return refused(`_typeFilter holds ${name}, which ${type} does not support`);
    if (wanted === '') return refused(`_typeFilter gives ${name} no value`);
    if (known.kind === 'date' && wanted.split(',').some((part) => !parseDateParameter(part))) {
      return refused(`_typeFilter gives ${name} a value that is no date`);
    }
    const isCategory = context.dialect === 'epic' && type === 'Observation' && name === 'category';
    if (isCategory && wanted.split(',').some((code) => REFUSED_OBSERVATION_CATEGORIES.includes(code))) {
      return refused('_typeFilter holds an Observation category that is not supported');
    }
    criteria.push({ rule: known, wanted });
  }
  return { kind: 'filter', filter: { type, criteria } };
}

/** Whether a resource meets any of its type's filters; without one for its type it does. */
export function passesFilters(
  resource: StoredResource,
  filters: readonly TypeFilter[],
  fhirBase: string,
): boolean {
  const own = filters.filter((filter) => filter.type === resource.type);
  if (own.length === 0) return true;
  const parsed: unknown = JSON.parse(resource.text.toString('utf8'));
  return own.some(({ criteria }) =>
    criteria.every(({ rule, wanted }) => matchesParameter(parsed, rule, wanted, fhirBase)),
  );
}
