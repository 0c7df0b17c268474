import { toJsonText } from './population/texts.ts';

/** The coding system of Epic's outcome codes in its sandbox; the prefix varies by site (seen at Epic, H). */
const EPIC_CODE_SYSTEM = 'urn:oid:1.2.840.114350.1.13.0.1.7.2.657369';

export interface OutcomeIssue {
  readonly severity: 'fatal' | 'error' | 'warning' | 'information';
  /** FHIR IssueType. */
  readonly code: string;
  /** Epic's code, such as `4101`. */
  readonly epicCode: string;
  readonly diagnostics?: string;
}

/** Texts of Epic's codes as its documentation and sandbox give them, shortened. */
const DISPLAYS: Readonly<Record<string, string>> = {
  '4100': 'The resource request contained an invalid parameter.',
  '4101': 'Resource request returns no results.',
  '4102': 'The read resource request contained an invalid resource ID.',
  '4103': 'The resource requested has been deleted.',
  '4107': 'The read resource request has been merged.',
  '4110': 'No parameters are provided in the search request.',
  '4111': 'A required parameter is missing.',
  '4113': 'The paging session ID is invalid or has expired.',
  '4115': 'Required search parameters are missing.',
  '4118': 'User not authorized for request.',
  '4119': 'Additional data may exist for the patient.',
  '4130': 'The authenticated user may not see this record.',
  '4134': 'Access to this patient requires Break-the-Glass.',
  '4135': 'The daily limit of documents has been reached.',
  '40000': 'An internal error has occurred.',
  '59100': 'Content invalid against the specification or a profile.',
  '59101': 'An element or header value is invalid.',
  '59102': 'The parameter value is not supported.',
  '59105': 'A required element is missing.',
  '59108': 'Either category or code is required.',
  '59109': 'The parameter is not supported and has been ignored.',
  '59111': 'A date is not valid.',
  '59133': 'A limit of the server has been exceeded.',
  '59144': 'The resource is gone.',
  '59177': 'The server is temporarily unavailable.',
  '59204': 'Some data was withheld from this response.',
  '59205': 'Some data could not be retrieved for this response.',
};

/** Default issue type by Epic code; what is not here is `processing`. */
const ISSUE_TYPES: Readonly<Record<string, string>> = {
  '4101': 'not-found',
  '4102': 'not-found',
  '4103': 'deleted',
  '4107': 'processing',
  '4113': 'expired',
  '4115': 'required',
  '4118': 'forbidden',
  '4130': 'forbidden',
  '4134': 'forbidden',
  '4135': 'throttled',
  '59102': 'value',
  '59108': 'required',
  '59109': 'not-supported',
  '59111': 'value',
  '59204': 'suppressed',
  '59205': 'incomplete',
};

const WARNINGS = new Set([
  '4101',
  '4107',
  '4119',
  '4117',
  '4122',
  '59100',
  '59101',
  '59109',
  '59204',
  '59205',
]);

/** An issue of an Epic code with its usual severity and issue type. */
export function issueOf(epicCode: string, diagnostics?: string): OutcomeIssue {
  return {
    severity: WARNINGS.has(epicCode) ? 'warning' : 'fatal',
    code: ISSUE_TYPES[epicCode] ?? 'processing',
    epicCode,
    ...(diagnostics === undefined ? {} : { diagnostics }),
  };
}

/** The compact text of an OperationOutcome (FHIR R4, OperationOutcome; the code where Epic puts it). */
export function outcomeText(issues: readonly OutcomeIssue[]): Buffer {
  return Buffer.from(
    toJsonText({
      resourceType: 'OperationOutcome',
      issue: issues.map(({ severity, code, epicCode, diagnostics }) => ({
        severity,
        code,
        details: {
          coding: [
            {
              system: EPIC_CODE_SYSTEM,
              code: epicCode,
              display: DISPLAYS[epicCode] ?? 'See the documentation.',
            },
          ],
          text: DISPLAYS[epicCode] ?? 'See the documentation.',
        },
        diagnostics,
      })),
    }),
  );
}
