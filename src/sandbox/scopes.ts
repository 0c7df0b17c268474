/** SMART system scopes, versions 1 and 2 (SMART App Launch 2.0, "Scopes for requesting clinical data"). */

interface SystemScope {
  readonly type: string;
  readonly read: boolean;
  readonly search: boolean;
}

const SCOPE = /^system\/(\*|[A-Z][A-Za-z]+)\.(read|write|\*|c?r?u?d?s?)$/;

function parse(text: string): SystemScope | undefined {
  const [, type, access] = SCOPE.exec(text) ?? [];
  if (type === undefined || access === undefined || access === '') return undefined;
  const all = access === 'read' || access === '*';
  return {
    type,
    read: all || (access !== 'write' && access.includes('r')),
    search: all || (access !== 'write' && access.includes('s')),
  };
}

const words = (scopes: string) => scopes.split(/\s+/).filter((word) => word !== '');

/** Whether a granted set allows an interaction on a type. */
export function scopeAllows(granted: string, type: string, interaction: 'read' | 'search'): boolean {
  return words(granted).some((word) => {
    const scope = parse(word);
    return scope !== undefined && (scope.type === '*' || scope.type === type) && scope[interaction];
  });
}

/** What of the requested scopes the registration covers; without a request, all that is registered. */
export function narrowScopes(requested: string | undefined, registered: string): string {
  if (requested === undefined || words(requested).length === 0) return words(registered).join(' ');
  const covers = (outer: SystemScope, inner: SystemScope) =>
    (outer.type === '*' || outer.type === inner.type) &&
    (outer.read || !inner.read) &&
    (outer.search || !inner.search);
  const granted = new Set<string>();
  for (const word of words(requested)) {
    const wanted = parse(word);
    if (!wanted) continue;
    for (const registeredWord of words(registered)) {
      const has = parse(registeredWord);
      if (!has) continue;
      if (covers(has, wanted)) granted.add(word);
      else if (covers(wanted, has)) granted.add(registeredWord);
    }
  }
  return [...granted].join(' ');
}
