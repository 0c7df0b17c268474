import { copyCompact, endOfText, endOfValue, nextToken, scanOf } from '../../src/fhir/jsonScan.ts';

/** A text walked from end to end, and its copy without white space between tokens. Throws as the walk does. */
export function compactOf(text: Buffer): Buffer {
  const scan = scanOf(text);
  const start = nextToken(scan, 0);
  const end = endOfValue(scan, start, 0);
  endOfText(scan, end);
  const target = Buffer.alloc(scan.bytes.length);
  return target.subarray(0, copyCompact(scan, start, end, target, 0));
}
