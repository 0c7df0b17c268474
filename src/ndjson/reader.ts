import { createReadStream } from 'node:fs';

/**
 * The lines of an NDJSON file as bytes, without their newline. Lines end at 0x0A only (U+2028 is data), a line
 * may have any length, and the last needs no newline. Empty lines are left out, as the NDJSON specification allows.
 */
export async function* readLines(file: string): AsyncGenerator<Buffer, void, undefined> {
  let rest: Buffer[] = [];
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 18 }) as AsyncIterable<Buffer>) {
    let from = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, from)) {
      const tail = chunk.subarray(from, end);
      const line = rest.length === 0 ? tail : Buffer.concat([...rest, tail]);
      rest = [];
      from = end + 1;
      if (line.length > 0) yield line;
    }
    if (from < chunk.length) rest.push(chunk.subarray(from));
  }
  if (rest.length > 0) yield Buffer.concat(rest);
}
