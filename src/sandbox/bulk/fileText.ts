import { readFile } from 'node:fs/promises';
import type { FaultAction } from '../faults.ts';
import type { ExportFile } from './exportFiles.ts';

const LINE_FEED = 0x0a;

function firstLine(text: Buffer): Buffer {
  const end = text.indexOf(LINE_FEED);
  return text.subarray(0, end < 0 ? text.length : end);
}

/** A line of the same type and id with one member more. */
function differing(line: Buffer): Buffer {
  const more = Buffer.from(',"implicitRules":"http://sandbox.invalid/differs"}');
  return Buffer.concat([line.subarray(0, -1), more]);
}

async function insertedLine(
  kind: string,
  file: ExportFile,
  files: readonly ExportFile[],
  own: Buffer,
): Promise<Buffer> {
  const sameType = files.find((other) => other.kind === file.kind && other.type === file.type) ?? file;
  const line = sameType === file ? firstLine(own) : firstLine(await readFile(sameType.path));
  switch (kind) {
    case 'blank':
      return Buffer.alloc(0);
    case 'not-json':
      return Buffer.from('<html>Service unavailable</html>');
    case 'cut-json':
      return line.subarray(0, Math.floor(line.length / 2));
    case 'list':
      return Buffer.concat([Buffer.from('['), line, Buffer.from(']')]);
    case 'other-type':
      return Buffer.from(
        `{"resourceType":"${file.type === 'Basic' ? 'List' : 'Basic'}","id":"foreign","code":{}}`,
      );
    case 'duplicate-differing':
      return differing(line);
    default:
      return line;
  }
}

/** A file's text as a fault leaves it. Faults of other kinds leave it as it is. */
export async function spoiledText(
  file: ExportFile,
  files: readonly ExportFile[],
  fault: FaultAction | undefined,
): Promise<Buffer> {
  const text = await readFile(file.path);
  if (!fault) return text;
  if ('insertLine' in fault) {
    const line = await insertedLine(fault.insertLine, file, files, text);
    const at = text.indexOf(LINE_FEED, Math.floor(text.length / 2)) + 1 || text.length;
    return Buffer.concat([text.subarray(0, at), line, Buffer.from('\n'), text.subarray(at)]);
  }
  if ('dropLines' in fault) {
    let end = text.length;
    for (let dropped = 0; dropped < fault.dropLines && end > 0; dropped += 1) {
      end = end < 2 ? 0 : text.lastIndexOf(LINE_FEED, end - 2) + 1;
    }
    return text.subarray(0, end);
  }
  if ('lineForm' in fault) {
    if (fault.lineForm === 'bom') return Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), text]);
    if (fault.lineForm === 'no-final-newline') return text.subarray(0, -1);
    // latin1 keeps one character a byte; inside a JSON string there is no raw line feed.
    return Buffer.from(text.toString('latin1').replaceAll('\n', '\r\n'), 'latin1');
  }
  return text;
}
