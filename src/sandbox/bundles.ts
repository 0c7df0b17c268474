import type { JsonStyle } from './jsonText.ts';

/** A searchset Bundle is put together as text around the resources' own bytes, never serialised again. */
export interface BundleEntry {
  readonly fullUrl: string;
  readonly text: Buffer;
  readonly mode: 'match' | 'include' | 'outcome';
}

export interface BundleDraft {
  readonly total: number;
  readonly selfUrl: string;
  readonly nextUrl: string | undefined;
  readonly entries: readonly BundleEntry[];
  /** Chooses among the legal orders of members. */
  readonly variant: number;
}

/** About a third of all pages is indented, some of those oddly; the same page always alike. */
export function styleOf(variant: number): JsonStyle {
  if (variant % 3 !== 0) return 'compact';
  return (variant >>> 4) % 3 === 0 ? 'odd' : 'pretty';
}

function entryText(entry: BundleEntry, variant: number): Buffer[] {
  const url = JSON.stringify(entry.fullUrl);
  const search = Buffer.from(`"search":{"mode":"${entry.mode}"}`);
  const resource = [Buffer.from('"resource":'), entry.text];
  if (entry.mode === 'outcome')
    return [Buffer.from('{'), ...resource, Buffer.from(','), search, Buffer.from('}')];
  switch (variant % 4) {
    case 0:
      return [Buffer.from('{'), search, Buffer.from(`,"fullUrl":${url},`), ...resource, Buffer.from('}')];
    case 1:
      return [Buffer.from('{'), ...resource, Buffer.from(`,"fullUrl":${url},`), search, Buffer.from('}')];
    default:
      return [
        Buffer.from(`{"link":[{"relation":"self","url":${url}}],"fullUrl":${url},`),
        ...resource,
        Buffer.from(','),
        search,
        Buffer.from('}'),
      ];
  }
}

/** The compact text of a searchset Bundle (FHIR R4, section 3.1.1.5). A page without entries has no `entry`. */
export function bundleText(draft: BundleDraft): Buffer {
  const links = [{ relation: 'self', url: draft.selfUrl }];
  if (draft.nextUrl !== undefined) links.unshift({ relation: 'next', url: draft.nextUrl });
  const linkText = Buffer.from(`"link":${JSON.stringify(links)}`);
  const entries: Buffer[] = [];
  if (draft.entries.length > 0) {
    entries.push(Buffer.from('"entry":['));
    draft.entries.forEach((entry, index) => {
      if (index > 0) entries.push(Buffer.from(','));
      entries.push(...entryText(entry, draft.variant >>> 12));
    });
    entries.push(Buffer.from(']'));
  }
  const head = Buffer.from(`{"resourceType":"Bundle","type":"searchset","total":${draft.total},`);
  const comma = Buffer.from(',');
  // A client that stops reading after `entry` would miss the next link of every fifth page.
  const linkLast = (draft.variant >>> 8) % 5 === 0;
  if (entries.length === 0) return Buffer.concat([head, linkText, Buffer.from('}')]);
  return linkLast
    ? Buffer.concat([head, ...entries, comma, linkText, Buffer.from('}')])
    : Buffer.concat([head, linkText, comma, ...entries, Buffer.from('}')]);
}
