import { localHref } from '../html.ts';
import type { Source } from './sources.ts';

type Trail = readonly (readonly [string, string])[];

/** The way back from what is below a source. */
export function sourceTrail(source: Source): Trail {
  return [
    ['Data', '/data'],
    [source.label, localHref(['data', source.sourceId])],
  ];
}

export function tableTrail(source: Source, resourceType: string): Trail {
  return [...sourceTrail(source), [resourceType, localHref(['data', source.sourceId, resourceType])]];
}
