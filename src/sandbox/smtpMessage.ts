import { createHash } from 'node:crypto';

/** Reading what came by SMTP, without any mail library, so that a fault of one cannot hide. */

/** The first header of that name, unfolded (RFC 5322, 2.2.3) and decoded (RFC 2047); empty when there is none. */
export function decodedHeader(raw: string, name: string): string {
  const head = raw.split(/\r?\n\r?\n/, 1)[0] ?? '';
  const unfolded = head.replace(/\r?\n(?=[ \t])/g, '');
  for (const line of unfolded.split(/\r?\n/)) {
    const colon = line.indexOf(':');
    if (line.slice(0, colon).trim().toLowerCase() === name.toLowerCase()) {
      return decodeWords(line.slice(colon + 1).trim());
    }
  }
  return '';
}

/** Decodes encoded words; white space between two of them is not text (RFC 2047, 6.2). */
function decodeWords(text: string): string {
  const joined = text.replace(/(=\?[^?]+\?[bqBQ]\?[^?]*\?=)\s+(?==\?)/g, '$1');
  return joined.replace(
    /=\?([^?*]+)(?:\*[^?]*)?\?([bqBQ])\?([^?]*)\?=/g,
    (_whole, charset, form, content) => {
      const bytes =
        String(form).toUpperCase() === 'B'
          ? Buffer.from(String(content), 'base64')
          : fromQuotedPrintable(String(content).replace(/_/g, ' '));
      return new TextDecoder(String(charset)).decode(bytes);
    },
  );
}

/** Quoted-printable (RFC 2045, 6.7) as bytes. */
function fromQuotedPrintable(text: string): Buffer {
  const plain = text
    .replace(/=\r?\n/g, '')
    .replace(/=([0-9A-Fa-f]{2})/g, (_whole, hex: string) => String.fromCharCode(parseInt(hex, 16)));
  return Buffer.from(plain, 'latin1');
}

/** One text part of a message, decoded; undefined when it has none of that type. */
export function decodedPart(raw: string, contentType: 'text/plain' | 'text/html'): string | undefined {
  const boundary = /boundary="?([^";\r\n]+)"?/i.exec(raw)?.[1];
  const parts = boundary === undefined ? [raw] : raw.split(`--${boundary}`);
  for (const part of parts) {
    const trimmed = part.replace(/^\r?\n/, '');
    if (!decodedHeader(trimmed, 'content-type').toLowerCase().startsWith(contentType)) continue;
    const body = trimmed.replace(/^[\s\S]*?\r?\n\r?\n/, '');
    switch (decodedHeader(trimmed, 'content-transfer-encoding').toLowerCase()) {
      case 'base64':
        return Buffer.from(body, 'base64').toString('utf8');
      case 'quoted-printable':
        return fromQuotedPrintable(body).toString('utf8');
      default:
        return body;
    }
  }
  return undefined;
}

/** The addresses of a From or To header. */
export function addressesOf(header: string): string[] {
  return header
    .split(',')
    .map((one) => (/<([^>]*)>/.exec(one)?.[1] ?? one).trim())
    .filter((address) => address !== '');
}

/**
 * What Bridge compares to tell a repeat, beside the recipients: subject, addresses, what it replies to, and body
 * (seen in its source, H). The other headers (date, message id) and the boundary between the parts, which differ
 * each time, do not count.
 */
export function contentHash(raw: string): string {
  const boundary = /boundary="?([^";\r\n]+)"?/i.exec(raw)?.[1];
  let body = raw.replace(/^[\s\S]*?\r?\n\r?\n/, '');
  if (boundary !== undefined) body = body.replaceAll(boundary, '');
  const heads = ['subject', 'from', 'to', 'cc', 'reply-to', 'in-reply-to'].map((name) =>
    decodedHeader(raw, name),
  );
  return createHash('sha256')
    .update([...heads, body].join('\n'))
    .digest('hex');
}
