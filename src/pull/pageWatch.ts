import { RoundsError } from '../errors.ts';

/** Pages in a row without one new resource: more is a server that goes in circles. */
const MAX_BARREN_PAGES = 1_000;

/**
 * Watches over the pages of one search: to be told of each `next` link before it is followed, and whether its page brought
 * anything new. Throws FHIR_PAGE_CAP after `maxPages` (0: never), FHIR_PAGING_LOOP.
 */
export function watchPages(maxPages: number): (next: string, isNew: boolean) => void {
  const visited = new Set<string>();
  let pages = 0;
  let barren = 0;
  return (next, isNew) => {
    pages++;
    barren = isNew ? 0 : barren + 1;
    if (maxPages > 0 && pages >= maxPages) {
      throw new RoundsError('FHIR_PAGE_CAP', `a search has more than ${maxPages} pages`);
    }
    if (visited.has(next) || barren > MAX_BARREN_PAGES) {
      throw new RoundsError('FHIR_PAGING_LOOP', 'the pages of a search run in a circle');
    }
    visited.add(next);
  };
}
