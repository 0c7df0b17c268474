import { closeSync, openSync, readSync } from 'node:fs';

const CHUNK_BYTES = 1 << 20;

/**
 * Visits the lines of an NDJSON file with the offsets of their first bytes, for a thread that does nothing else: without their
 * line feeds, empty ones left out. The bytes are `visit`'s until it returns. Returns how many bytes the file has.
 */
export function eachLine(file: string, visit: (line: Buffer, offset: number) => void): number {
  const fd = openSync(file, 'r');
  try {
    let chunk = Buffer.allocUnsafe(CHUNK_BYTES);
    /** What of the chunk is left from before: the beginning of a line. */
    let kept = 0;
    let offset = 0;
    for (;;) {
      if (kept === chunk.length) chunk = Buffer.concat([chunk, Buffer.allocUnsafe(chunk.length)]);
      const read = readSync(fd, chunk, kept, chunk.length - kept, offset + kept);
      const length = kept + read;
      if (read === 0) {
        if (kept > 0) visit(chunk.subarray(0, kept), offset);
        return offset + kept;
      }
      let from = 0;
      for (let end = chunk.indexOf(0x0a, kept); end >= 0 && end < length; end = chunk.indexOf(0x0a, from)) {
        if (end > from) visit(chunk.subarray(from, end), offset + from);
        from = end + 1;
      }
      kept = length - from;
      chunk.copyWithin(0, from, length);
      offset += from;
    }
  } finally {
    closeSync(fd);
  }
}
