/** Comparing SMART scopes, versions 1 (`system/Patient.read`) and 2 (`system/Patient.rs`). Pure. */

interface ClinicalScope {
  readonly context: string;
  /** A resource type, or `*`. */
  readonly resourceType: string;
  /** Of `c r u d s`. */
  readonly permissions: ReadonlySet<string>;
  /** Version 2's `?category=...`; it narrows the scope. */
  readonly query: string | undefined;
}

const CLINICAL = /^(system|user|patient)\/(\*|[A-Za-z]+)\.(read|write|\*|[cruds]+)(\?.*)?$/;

/** Version 1 in version 2's letters. Source: SMART App Launch 2.2, "Scopes for requesting FHIR Resources". */
const VERSION_1: Readonly<Record<string, string>> = { read: 'rs', write: 'cud', '*': 'cruds' };

/** The scopes of a space-separated list (RFC 6749, 3.3), each once, in their order. */
export function splitScopes(text: string | undefined): readonly string[] {
  return [...new Set((text ?? '').split(/\s+/).filter((scope) => scope !== ''))];
}

/**
 * The requested scopes that the granted ones do not wholly cover: `system/*.read` is covered by itself, by
 * `system/*.rs` and by `system/*.*`, and never by a list of types, since nobody knows whether that is all of them.
 * A scope that names no FHIR resource is covered by itself alone.
 */
export function missingScopes(requested: readonly string[], granted: readonly string[]): readonly string[] {
  const clinical = granted.map(parseScope).filter((scope) => scope !== undefined);
  return requested.filter((text) => {
    const wanted = parseScope(text);
    if (wanted === undefined || granted.includes(text)) return !granted.includes(text);
    return ![...wanted.permissions].every((permission) =>
      clinical.some(
        (scope) =>
          scope.context === wanted.context &&
          (scope.resourceType === '*' || scope.resourceType === wanted.resourceType) &&
          (scope.query === undefined || scope.query === wanted.query) &&
          scope.permissions.has(permission),
      ),
    );
  });
}

/**
 * Whether a system scope lets resources of this type be searched and read, be it a part of them only.
 * `granted` undefined (the server did not say): true, since the FHIR server itself then answers the question.
 */
export function scopesCoverType(granted: readonly string[] | undefined, resourceType: string): boolean {
  if (granted === undefined) return true;
  const open = granted
    .map(parseScope)
    .filter((scope) => scope?.context === 'system' && ['*', resourceType].includes(scope.resourceType));
  return ['r', 's'].every((permission) => open.some((scope) => scope?.permissions.has(permission)));
}

function parseScope(text: string): ClinicalScope | undefined {
  const match = CLINICAL.exec(text);
  if (match === null) return undefined;
  const [, context = '', resourceType = '', access = '', query] = match;
  return { context, resourceType, permissions: new Set(VERSION_1[access] ?? access), query };
}
