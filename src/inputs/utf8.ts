import { isUtf8 } from 'node:buffer';

/** Bytes at the end of `bytes` that begin a UTF-8 character which is not all there yet: 0 to 3. */
function openTail(bytes: Buffer): number {
  for (let back = 1; back <= 3 && back <= bytes.length; back++) {
    const byte = bytes[bytes.length - back]!;
    if (byte < 0x80) return 0;
    if (byte < 0xc0) continue; // a continuation: its first byte lies further back
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
    return length > back ? back : 0;
  }
  return 0;
}

/**
 * A check of a byte stream for UTF-8, also over chunk borders. `push` gives the line (counted by 0x0A, from 1) of
 * the first byte that is not UTF-8, or undefined; `end` the same for a character cut by the end of the file.
 */
export function utf8Check(): { push(chunk: Buffer): number | undefined; end(): number | undefined } {
  let open: Buffer = Buffer.alloc(0);
  let line = 1;
  return {
    push: (chunk) => {
      const bytes = open.length === 0 ? chunk : Buffer.concat([open, chunk]);
      const whole = bytes.subarray(0, bytes.length - openTail(bytes));
      open = Buffer.from(bytes.subarray(whole.length));
      const good = isUtf8(whole);
      for (let from = 0; ; line++) {
        const end = whole.indexOf(0x0a, from);
        if (!good && !isUtf8(whole.subarray(from, end < 0 ? whole.length : end))) return line;
        if (end < 0) return undefined;
        from = end + 1;
      }
    },
    end: () => (open.length === 0 ? undefined : line),
  };
}
