/** What the headers of an answer with a file, or a part of it, say (RFC 9110, 8.8 and 14). Names are in lower case. */

export function isEncoded(headers: Readonly<Record<string, string>>): boolean {
  return !['', 'identity'].includes(headers['content-encoding']?.trim().toLowerCase() ?? '');
}

/** A weak one promises no equal bytes, and one of a compressed form counts for that form (RFC 9110, 8.8.3). */
export function identityEtag(headers: Readonly<Record<string, string>>): string | undefined {
  const etag = headers['etag'];
  return etag?.startsWith('"') === true && !isEncoded(headers) ? etag : undefined;
}

/** What Content-Range says of a part: its first byte, and the length of the whole where that is told. */
export function rangeOf(
  headers: Readonly<Record<string, string>>,
): { readonly from: number; readonly length: number | undefined } | undefined {
  const [, from, length] = /^bytes (\d+)-\d+\/(\d+|\*)$/i.exec(headers['content-range']?.trim() ?? '') ?? [];
  if (from === undefined) return undefined;
  return { from: Number(from), length: length === '*' ? undefined : Number(length) };
}
