import type { ErrorCode } from '../errors.ts';

/** Why each code comes, for `explain`. What to do about it is the code's own hint. */
export const CAUSES: Readonly<Record<ErrorCode, string>> = {
  CONFIG_INVALID:
    'A setting is missing, unknown, or has a value that cannot be; each is named by file, line and key.',
  CONFIG_MISSING: 'There is no INI at the path given, or at config/fhir-rounds.ini below the current folder.',
  INPUT_INVALID:
    'The roster or the resource list has rows that cannot be read; each is named by line and column.',
  ROSTER_SHRUNK:
    'The roster lost more than max_roster_drop_percent of its patients since the last run, which is more often a broken export than the truth.',
  USAGE: 'The command line names something that there is not, or lacks something.',
  RUN_UNKNOWN: 'No run, or more than one, has the id or the beginning of an id that was given.',
  RUN_NOT_RESUMABLE:
    'An interrupted run cannot go on: server, client or export folder in the INI changed, or it is too old.',
  RUN_FOLDER_GONE: 'The run is in the history, and its folder is not on the disk any more.',

  CONSOLE_NOT_FOUND: 'The console has no such page, or what it showed is gone: retention may have taken it.',
  CONSOLE_ASK_INVALID: 'A value that was sent to the console cannot be: a sort, a filter, a query, a number.',
  CONSOLE_REFUSED:
    'The console does not know who asks: the link was used or too old, the session idle too long, or the request came from another page or by another name of this machine.',
  CONSOLE_UNAVAILABLE: 'A part of the console is switched off, or needs something that is not installed.',

  KEY_INVALID: 'The private key’s file is missing, or holds no private key that the algorithm can use.',
  KEY_WEAK: 'The private key is shorter than Epic takes.',
  KEY_EXPOSED: 'Others than its owner can read the private key.',
  KEY_EXISTS: 'There is a key or certificate already, and it may be the one that is registered.',
  KEY_ROTATION: 'A step of the key’s rotation comes out of its order or too early.',
  TOKEN_INVALID_CLIENT:
    'The token endpoint does not take this client’s assertion. Epic gives no reason (invalid_client, without a description).',
  TOKEN_REFUSED: 'The token endpoint knows the client and refuses what it asks for.',
  TOKEN_NOT_ACCEPTED: 'The FHIR server refuses tokens that the token endpoint has just granted.',
  TOKEN_MALFORMED:
    'The token endpoint’s answer is no OAuth 2.0 answer: often a proxy, or another address than the token endpoint.',
  SMART_DISCOVERY_FAILED: 'The FHIR base has no .well-known/smart-configuration that names a token endpoint.',

  NETWORK: 'No connection to the host, or it broke: refused, reset, or no route.',
  NAME_NOT_RESOLVED: 'The host’s name is not known to DNS from here.',
  TIMEOUT: 'No whole answer within timeout_seconds.',
  TLS_UNTRUSTED:
    'The server’s certificate is signed by an authority that this machine does not know, has run out, or is for another name.',
  BODY_CUT: 'The connection closed before the whole body had come.',
  BODY_TOO_LARGE: 'One answer is larger than 64 MB.',
  URL_REFUSED:
    'A next link, reference or redirect leads away from the configured server; the token is not sent there.',
  HTTP_UNAUTHORIZED: 'The FHIR server refused the token (401): expired or withdrawn.',
  HTTP_FORBIDDEN:
    'The FHIR server refused the request (403): the API is not in the registration, or the Epic user may not.',
  HTTP_NOT_FOUND: 'The FHIR server knows no such resource or path (404).',
  HTTP_GONE: 'The resource was deleted (410).',
  HTTP_BAD_REQUEST: 'The FHIR server refused the request’s form or parameters (400 and its like).',
  HTTP_TOO_MANY: 'The FHIR server asks for fewer requests (429).',
  HTTP_SERVER: 'The FHIR server, or what stands before it, failed (500, 502, 503, 504; Epic 40000, 59177).',
  HTTP_UNEXPECTED: 'The answer’s status means nothing in FHIR’s REST API.',

  FHIR_NOT_JSON: 'The answer is no JSON: a login page, a proxy’s message, or half a body.',
  FHIR_MALFORMED: 'The answer is JSON, but no searchset or resource of the type that was asked for.',
  FHIR_NOT_R4: 'The CapabilityStatement names another fhirVersion than 4.0.x.',
  FHIR_PAGING_LOOP: 'A next link leads to a page that was there before.',
  FHIR_PAGE_CAP: 'The search has more pages than max_pages.',
  FHIR_PAGING_EXPIRED: 'The server forgot the paging session (Epic 4113) before its last page was asked for.',
  FHIR_FOREIGN_PATIENT:
    'An entry belongs to another patient than the one that was asked for; nothing of the search is kept.',
  FHIR_FOREIGN_TYPE: 'An entry is of another type than the one that was asked for.',
  FHIR_OUTCOME: 'An OperationOutcome in the answer says that a part is missing.',
  FHIR_DATA_WITHHELD: 'The server answered 200 and says that data was left out (Epic 59204, 59205).',
  FHIR_ACCESS_DENIED:
    'The Epic user behind the client may not see this record, or it is behind Break-the-Glass (4134).',
  FHIR_PARAMETER_REFUSED:
    'The server refuses a search parameter or wants another one (Epic 59108: category or code).',
  FHIR_DELETED: 'The record was deleted at the server after it was listed or referred to.',
  FHIR_DOCUMENT_QUOTA: 'The client has fetched as many documents today as Epic allows.',
  TYPE_NOT_OFFERED: 'The list names a resource type that this server does not have.',
  REFERENCE_MISSING: 'A resource that was pulled refers to a record that the server does not give out.',
  ATTACHMENT_TYPE: 'The attachment’s MIME type is not among those that [attachments] types lists.',
  ATTACHMENT_TOO_LARGE: 'The attachment is larger than [attachments] max_megabytes.',
  ATTACHMENT_UNREADABLE: 'An attachment is empty at the server, or its data is no base64.',
  ATTACHMENT_REPLACED:
    'A web page (to sign in, a proxy’s) or some JSON came with 200 where a document of another type is declared.',
  MRN_UNMATCHED: 'Patient?identifier= finds nobody for the MRN of this roster line.',
  MRN_AMBIGUOUS: 'Patient?identifier= finds several people for the MRN of this roster line.',
  PATIENT_MERGED: 'The patient’s record was merged into that of another line.',
  SERVER_AWAY: 'The server did not answer for longer than max_outage_minutes.',

  BULK_KICKOFF_REFUSED: 'The server refuses to begin the export that [bulk] and the resource list ask for.',
  BULK_EXPORT_FAILED: 'The server began the export and gave it up.',
  BULK_EXPORT_GONE: 'The server knows the export no more: deleted there, or older than it keeps exports.',
  BULK_MANIFEST_INVALID:
    'The list of an export’s files is not what the Bulk Data standard says, or a page of it is missing.',
  BULK_FILE_MALFORMED:
    'A file of an export holds a line that is no whole JSON object of the type that the manifest names.',
  BULK_COUNT_DIFFERS: 'A file of an export has another number of lines than the manifest counts.',
  BULK_WAIT_OVER: 'An export was not done, or could not be begun, within [bulk] max_wait_hours.',

  RUN_CANCELLED: 'A person ended the run with `fhir-rounds cancel` before it was done.',
  RUN_PAUSED:
    'The run stands at its checkpoint and waits: the server stayed away, or the allowed hours are over.',
  LOCK_HELD:
    'Another process runs this job, or another job pulls from the same server. A dead process holds nothing.',
  LEDGER_DAMAGED: 'The file ledger.sqlite is torn, foreign, or was changed by another hand.',
  LEDGER_NEWER: 'The file ledger.sqlite was written by a newer version of this program.',
  DISK_FULL: 'The disk is full, or a quota is.',
  PATH_UNUSABLE:
    'A folder or file cannot be made, read or written by the user that runs this, or lies where it must not.',
  PATH_EXPOSED: 'A folder that holds patient data belongs to another user, or others can reach into it.',
  PUBLISH_MISMATCH: 'What lies in staging is not what the ledger committed; nothing was published.',
  VERIFY_DAMAGED: 'A published folder, or the audit file, is not as it was written.',
  INTERRUPTED:
    'SIGINT or SIGTERM (Ctrl-C, PM2, a shutdown), or a passing trouble that the next start goes on from.',
  INTERNAL: 'Something happened that this program was not written for.',

  MAIL_LOGIN_REFUSED: 'The mail server refused user and password (535, or 454 from Proton Bridge).',
  MAIL_REFUSED: 'The mail server refused the sender, a recipient or the message for good (5xx).',
  MAIL_UNREACHABLE: 'The mail server cannot be reached, or puts off the mail (4xx).',
  MAIL_INSECURE: 'The mail server offers no STARTTLS, and nothing is sent in clear.',
};
