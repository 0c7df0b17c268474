import { EPIC_CODES } from '../../fhir/epicCodes.ts';
import { issuesInBody, type OperationOutcomeIssue } from '../../fhir/outcome.ts';
import { readSearchset } from '../../fhir/searchset.ts';
import { oneLine } from '../../report/format.ts';
import { EPIC_KINDS, EPIC_REMEDIES } from '../../views/foreignCodes.ts';

/** What comes with nearly every answer is no news. */
const SILENT: ReadonlySet<string> = new Set(['empty', 'ignorable', 'noted']);

/**
 * What an answer's Epic code means and what to do, in words of ours; undefined where no code is known. Of a 200, for what
 * was withheld or merged.
 */
export function hintOf(status: number, body: Buffer): string | undefined {
  for (const { codes } of status === 200 ? issuesOfSearchset(body) : issuesInBody(body)) {
    const code = codes.find((one) => EPIC_CODES.has(one));
    const known = code === undefined ? undefined : EPIC_CODES.get(code);
    if (known === undefined || (status === 200 && SILENT.has(known.kind))) continue;
    return `Epic ${code}: ${known.meaning}. ${EPIC_REMEDIES[code!] ?? EPIC_KINDS[known.kind].remedy}`;
  }
  return undefined;
}

function issuesOfSearchset(body: Buffer): readonly OperationOutcomeIssue[] {
  try {
    return readSearchset(body).outcomes;
  } catch {
    return [];
  }
}

/** A text as the value of a header: one line of ASCII. */
export function headerText(text: string): string {
  return oneLine(text)
    .replace(/[‘’]/g, "'")
    .replace(/[“”]/g, '"')
    .replace(/…/g, '...')
    .replace(/[^\x20-\x7e]/g, '?');
}
