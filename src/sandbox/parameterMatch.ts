import type { ParameterRule } from './rules.ts';

/** Does a parsed resource meet one search parameter? FHIR R4, section 3.1.1.4 (search parameter types). */

/** All values at a dotted path; lists are followed into. */
export function valuesAt(node: unknown, path: readonly string[]): unknown[] {
  if (node === undefined || node === null) return [];
  if (Array.isArray(node)) return node.flatMap((item) => valuesAt(item, path));
  const [head, ...rest] = path;
  if (head === undefined) return [node];
  if (typeof node !== 'object') return [];
  return valuesAt((node as Record<string, unknown>)[head], rest);
}

interface Token {
  readonly system: string | undefined;
  readonly code: string | undefined;
}

function tokensOf(value: unknown): Token[] {
  if (typeof value !== 'object' || value === null) return [{ system: undefined, code: String(value) }];
  const node = value as { coding?: unknown; system?: string; code?: string; value?: string };
  if (Array.isArray(node.coding)) return node.coding.flatMap(tokensOf);
  return [{ system: node.system, code: node.code ?? node.value }];
}

function tokenMatches(value: unknown, wanted: string): boolean {
  const bar = wanted.indexOf('|');
  const system = bar < 0 ? undefined : wanted.slice(0, bar);
  const code = bar < 0 ? wanted : wanted.slice(bar + 1);
  return tokensOf(value).some(
    (token) =>
      (code === '' || token.code === code) &&
      (system === undefined || (system === '' ? token.system === undefined : token.system === system)),
  );
}

/** `Patient/x` of a bare id, a relative or a same-base absolute reference. */
export function relativeReference(text: string, fhirBase: string, type?: string): string {
  const relative = text.startsWith(`${fhirBase}/`) ? text.slice(fhirBase.length + 1) : text;
  return relative.includes('/') || type === undefined ? relative : `${type}/${relative}`;
}

function referenceMatches(value: unknown, wanted: string, fhirBase: string): boolean {
  const reference = (value as { reference?: unknown } | null)?.reference;
  if (typeof reference !== 'string') return false;
  const relative = relativeReference(reference, fhirBase);
  const target = relativeReference(wanted, fhirBase);
  return target.includes('/') ? relative === target : relative.endsWith(`/${target}`);
}

interface Span {
  readonly from: number;
  /** Exclusive. */
  readonly to: number;
}

const DATE = /^(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(\.\d+)?)?(Z|[+-]\d\d:\d\d)?)?)?)?$/;

/** The span of time that a partial date covers; without an offset, in UTC. Undefined: not a date. */
function spanOf(text: string): Span | undefined {
  const match = DATE.exec(text);
  if (!match) return undefined;
  const [, year, month, day, hour, minute, second, fraction, zone] = match;
  const iso = `${year ?? ''}-${month ?? '01'}-${day ?? '01'}T${hour ?? '00'}:${minute ?? '00'}:${second ?? '00'}${fraction ?? ''}${zone ?? 'Z'}`;
  const from = Date.parse(iso);
  if (Number.isNaN(from)) return undefined;
  if (month === undefined) return { from, to: Date.UTC(Number(year) + 1, 0) };
  if (day === undefined) return { from, to: Date.UTC(Number(year), Number(month)) };
  if (hour === undefined) return { from, to: from + 86_400_000 };
  if (second === undefined) return { from, to: from + 60_000 };
  return { from, to: from + (fraction === undefined ? 1000 : 1) };
}

function spanOfValue(value: unknown): Span | undefined {
  if (typeof value === 'string') return spanOf(value);
  const { start, end } = (value ?? {}) as { start?: string; end?: string };
  if (start === undefined && end === undefined) return undefined;
  return {
    from: start === undefined ? -Infinity : (spanOf(start)?.from ?? -Infinity),
    to: end === undefined ? Infinity : (spanOf(end)?.to ?? Infinity),
  };
}

const PREFIX = /^(eq|ne|ge|le|gt|lt|sa|eb)?(.*)$/s;

/** Undefined when the text is no date parameter that the server understands. */
export function parseDateParameter(
  text: string,
): { readonly prefix: string; readonly span: Span } | undefined {
  const [, prefix = 'eq', rest = ''] = PREFIX.exec(text) ?? [];
  const span = spanOf(rest);
  return span && { prefix, span };
}

function dateMatches(value: unknown, wanted: string): boolean {
  const parameter = parseDateParameter(wanted);
  const target = spanOfValue(value);
  if (!parameter || !target) return false;
  const { prefix, span } = parameter;
  const inside = target.from >= span.from && target.to <= span.to;
  switch (prefix) {
    case 'ge':
      return target.to > span.from;
    case 'gt':
      return target.to > span.to;
    case 'le':
      return target.from < span.to;
    case 'lt':
      return target.from < span.from;
    case 'sa':
      return target.from >= span.to;
    case 'eb':
      return target.to <= span.from;
    case 'ne':
      return !inside;
    default:
      return inside;
  }
}

/** Whether any value of the parameter's elements meets any of the comma-separated alternatives. */
export function matchesParameter(
  resource: unknown,
  rule: ParameterRule,
  wanted: string,
  fhirBase: string,
): boolean {
  const values = rule.paths.flatMap((path) => valuesAt(resource, path.split('.')));
  return wanted.split(',').some((alternative) =>
    values.some((value) => {
      switch (rule.kind) {
        case 'reference':
          return referenceMatches(value, alternative, fhirBase);
        case 'token':
          return tokenMatches(value, alternative);
        case 'date':
          return dateMatches(value, alternative);
        case 'uri':
          return value === alternative;
        case 'string':
          return typeof value === 'string' && value.toLowerCase().startsWith(alternative.toLowerCase());
      }
    }),
  );
}
