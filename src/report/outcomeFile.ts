import { ERROR_CODES } from '../errors.ts';
import type { Cause, Outcome } from '../run/tally.ts';

/** One gap or failure, as it stands in the commits. */
export interface OutcomeRow {
  readonly resourceType: string;
  readonly outcome: Extract<Outcome, 'gap' | 'failed'>;
  readonly cause: Cause;
}

const EXTENSION = 'https://fhir-rounds.invalid/StructureDefinition';

/** FHIR R4, issue-type: what our failure classes are there. */
const ISSUE_TYPES = {
  transient: 'transient',
  permanent: 'not-found',
  denied: 'forbidden',
  config: 'processing',
} as const;

/**
 * A line of `error/OperationOutcome.ndjson`: a gap or failure as a FHIR OperationOutcome (R4). The server's own
 * texts are left out, since diagnostics hold PHI; the patient is named by the line of the roster.
 */
export function outcomeLine({ resourceType, outcome, cause }: OutcomeRow): string {
  const { failure, hint } = ERROR_CODES[cause.code];
  const extension: { url: string; valueInteger?: number; valueCode?: string; valueString?: string }[] = [
    { url: `${EXTENSION}/search-outcome`, valueCode: outcome },
    { url: `${EXTENSION}/resource-type`, valueCode: resourceType },
  ];
  if (cause.rosterLine !== undefined) {
    extension.push({ url: `${EXTENSION}/roster-line`, valueInteger: cause.rosterLine });
  }
  if (cause.httpStatus !== undefined) {
    extension.push({ url: `${EXTENSION}/http-status`, valueInteger: cause.httpStatus });
  }
  if (cause.file !== undefined) extension.push({ url: `${EXTENSION}/file`, valueString: cause.file });
  const coding: { system: string; code: string }[] = [{ system: `${EXTENSION}/code`, code: cause.code }];
  if (cause.epicCode !== undefined) coding.push({ system: `${EXTENSION}/epic-code`, code: cause.epicCode });
  return JSON.stringify({
    resourceType: 'OperationOutcome',
    issue: [
      {
        extension,
        severity: outcome === 'failed' ? 'error' : 'warning',
        code: ISSUE_TYPES[failure],
        details: { coding, text: hint },
        ...(cause.said === undefined ? {} : { diagnostics: cause.said }),
      },
    ],
  });
}

interface StoredOutcome {
  readonly issue: readonly [
    {
      readonly extension: readonly {
        url: string;
        valueInteger?: number;
        valueCode?: string;
        valueString?: string;
      }[];
      readonly details: { readonly coding: readonly { system: string; code: string }[] };
    },
  ];
}

/** A line that `outcomeLine` wrote. */
export function readOutcomeLine(line: Buffer): OutcomeRow {
  const { extension, details } = (JSON.parse(line.toString('utf8')) as StoredOutcome).issue[0];
  const of = (name: string) => extension.find(({ url }) => url === `${EXTENSION}/${name}`);
  const coded = (name: string) =>
    details.coding.find(({ system }) => system === `${EXTENSION}/${name}`)?.code;
  const epicCode = coded('epic-code');
  const rosterLine = of('roster-line')?.valueInteger;
  const httpStatus = of('http-status')?.valueInteger;
  const file = of('file')?.valueString;
  return {
    resourceType: of('resource-type')!.valueCode!,
    outcome: of('search-outcome')!.valueCode as OutcomeRow['outcome'],
    cause: {
      code: coded('code') as Cause['code'],
      ...(epicCode === undefined ? {} : { epicCode }),
      ...(httpStatus === undefined ? {} : { httpStatus }),
      ...(rosterLine === undefined ? {} : { rosterLine }),
      ...(file === undefined ? {} : { file }),
    },
  };
}
