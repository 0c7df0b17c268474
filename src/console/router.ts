import type { Route } from './exchange.ts';

export interface Match {
  readonly route: Route;
  readonly params: Readonly<Record<string, string>>;
}

interface Pattern {
  readonly route: Route;
  /** A segment's text, or the name of the parameter in its place. */
  readonly segments: readonly { readonly text?: string; readonly name?: string }[];
}

/** Finds the route of a path. A fixed segment goes before a parameter: `/data/uploads` before `/data/{source}`. */
export class Router {
  readonly #patterns: readonly Pattern[];

  /** Throws a TypeError when two routes have the same method and path. */
  constructor(routes: readonly Route[]) {
    const patterns = routes.map((route) => ({ route, segments: segmentsOf(route.path) }));
    const names = patterns.map(
      ({ route, segments }) => `${route.method} ${segments.map(({ text = '{}' }) => text).join('/')}`,
    );
    const twice = names.find((name, index) => names.indexOf(name) !== index);
    if (twice !== undefined) throw new TypeError(`two routes for ${twice}`);
    this.#patterns = patterns.toSorted((a, b) => rank(a).localeCompare(rank(b)));
  }

  /** undefined: no such page. `pathname` as it came, still encoded. */
  find(method: Route['method'], pathname: string): Match | undefined {
    const given = decoded(pathname);
    if (given === undefined) return undefined;
    for (const { route, segments } of this.#patterns) {
      if (route.method !== method || segments.length !== given.length) continue;
      if (!segments.every(({ text }, index) => text === undefined || text === given[index])) continue;
      const params = segments.flatMap(({ name }, index) =>
        name === undefined ? [] : [[name, given[index]!] as const],
      );
      return { route, params: Object.fromEntries(params) };
    }
    return undefined;
  }
}

function segmentsOf(path: string): Pattern['segments'] {
  return path.split('/').map((segment) => {
    const [, name] = /^\{(\w+)\}$/.exec(segment) ?? [];
    return name === undefined ? { text: segment } : { name };
  });
}

/** `0` for a fixed segment and `1` for a parameter, so that the more exact pattern is tried first. */
function rank({ segments }: Pattern): string {
  return segments.map(({ text }) => (text === undefined ? '1' : '0')).join('');
}

/** Segments of a path; undefined where one cannot be decoded. A parameter is never empty. */
function decoded(pathname: string): readonly string[] | undefined {
  try {
    const segments = pathname.split('/').map(decodeURIComponent);
    return segments.some((segment, index) => segment === '' && index > 0 && segments.length > 2)
      ? undefined
      : segments;
  } catch {
    return undefined;
  }
}
