/**
 * The table of every code that an error of ours can carry. Messages may be logged and mailed as they are, so they never
 * hold a patient's name, id or MRN, a query string, a token or a key.
 */

/**
 * What can be done about a failure:
 * - `transient`: the same request may succeed later; worth a retry.
 * - `permanent`: the server's final answer; a retry changes nothing.
 * - `denied`: the server withheld it (scope, security class, Break-the-Glass); a person has to act there.
 * - `config`: something on this side is wrong; a person has to act here.
 */
export type FailureClass = 'transient' | 'permanent' | 'denied' | 'config';

interface ErrorDefinition {
  readonly failure: FailureClass;
  /** What the operator does next. */
  readonly hint: string;
}

const define = (failure: FailureClass, hint: string): ErrorDefinition => ({ failure, hint });

/** Every code of ours. Codes are stable: they may be added, never renamed. */
export const ERROR_CODES = {
  // Configuration and input
  CONFIG_INVALID: define('config', 'Mend each line named above and run `fhir-rounds check`.'),
  CONFIG_MISSING: define('config', 'Name the file with --config, or make one with `fhir-rounds init`.'),
  INPUT_INVALID: define('config', 'Mend each row named above; nothing was requested.'),
  ROSTER_SHRUNK: define(
    'config',
    'If the smaller roster is right, run once with `fhir-rounds run JOB --accept-roster`; else mend the export that writes it.',
  ),
  USAGE: define('config', 'See `fhir-rounds --help`.'),
  RUN_UNKNOWN: define('config', 'List the runs there are with `fhir-rounds runs`.'),
  RUN_FOLDER_GONE: define(
    'config',
    'Choose a younger run (`fhir-rounds runs`); [retention] keep_runs and keep_days say how long folders stay.',
  ),
  RUN_NOT_RESUMABLE: define(
    'config',
    'Start afresh with `fhir-rounds run JOB --fresh`; the interrupted run is then closed as abandoned.',
  ),

  // The console
  CONSOLE_NOT_FOUND: define('config', 'Go back to the overview, and on from there.'),
  CONSOLE_ASK_INVALID: define('config', 'Go back, and mend what is named above.'),
  CONSOLE_REFUSED: define('denied', 'Ask for a new link with `fhir-rounds console --link`, and open it.'),
  CONSOLE_UNAVAILABLE: define(
    'config',
    'Mend what is named above; the rest of the console works without it.',
  ),

  // Keys and tokens
  KEY_INVALID: define(
    'config',
    'Use a PEM (PKCS#1, PKCS#8) or JWK private key: `fhir-rounds keys generate`.',
  ),
  KEY_WEAK: define(
    'config',
    'Epic takes RSA of 2048 bits and more, or EC P-384: `fhir-rounds keys generate`.',
  ),
  KEY_EXPOSED: define(
    'config',
    'Let its owner alone read it: chmod 600, and chown it to the user that runs this.',
  ),
  KEY_EXISTS: define(
    'config',
    'Keep the key there is, name another file, or rotate with `fhir-rounds keys rotate`.',
  ),
  KEY_ROTATION: define(
    'config',
    'Call `fhir-rounds keys rotate` without a step: it says where the rotation stands and what comes next.',
  ),
  TOKEN_INVALID_CLIENT: define(
    'denied',
    'Epic does not say which: (1) the client id is of another environment (production and non-production differ), ' +
      'or new (it takes from an hour to two days to be active); (2) the public key, certificate or JWKS URL ' +
      'registered is not that of this private key, or its host cannot be reached, or an old JWKS is still cached ' +
      '(up to 29 h); (3) `aud` is not the exact token endpoint; (4) this clock is wrong by minutes; (5) key_id ' +
      'names no key of the JWKS; (6) the customer has not mapped the client id to an Epic user.',
  ),
  TOKEN_REFUSED: define(
    'denied',
    'Compare client_id, scope and token_endpoint with the registration at Epic.',
  ),
  TOKEN_NOT_ACCEPTED: define(
    'denied',
    'The token endpoint grants tokens and the FHIR server takes none: check that both are of one environment, that ' +
      'the client is active at this FHIR server, and this machine’s clock.',
  ),
  TOKEN_MALFORMED: define(
    'permanent',
    'The token endpoint answered something else than OAuth 2.0: check token_endpoint.',
  ),
  SMART_DISCOVERY_FAILED: define(
    'config',
    'Set [oauth_settings] token_endpoint; the FHIR base offers no discovery.',
  ),

  // Network and HTTP
  NETWORK: define('transient', 'Check the network, the proxy and the firewall to this host.'),
  NAME_NOT_RESOLVED: define('transient', 'Check the host name in the INI and this machine’s DNS.'),
  TIMEOUT: define(
    'transient',
    'The server did not answer in timeout_seconds; raise it or lower concurrency.',
  ),
  TLS_UNTRUSTED: define(
    'config',
    'Give the certificate authority in [network] ca_file (FHIR) or [email] smtp_tls_ca (mail); never switch the check off.',
  ),
  BODY_CUT: define('transient', 'The connection ended before the body did; it is asked again.'),
  BODY_TOO_LARGE: define('permanent', 'Lower [api_settings] page_size, or look at what this server sends.'),
  URL_REFUSED: define(
    'permanent',
    'The server named a URL outside the configured FHIR server; ask its operator why.',
  ),
  HTTP_UNAUTHORIZED: define('transient', 'The token was refused; a new one is fetched once.'),
  HTTP_FORBIDDEN: define(
    'denied',
    'The registration lacks this API, or the Epic user lacks the security class.',
  ),
  HTTP_NOT_FOUND: define('permanent', 'The server has no such resource or endpoint.'),
  HTTP_GONE: define('permanent', 'The resource was deleted at the server.'),
  HTTP_BAD_REQUEST: define(
    'permanent',
    'The server refused the request’s parameters: check `query` in the resource list.',
  ),
  HTTP_TOO_MANY: define(
    'transient',
    'The server asks for fewer requests: lower concurrency or requests_per_second.',
  ),
  HTTP_SERVER: define('transient', 'The server failed; it is asked again later.'),
  HTTP_UNEXPECTED: define(
    'permanent',
    'The server answered with a status this program does not know what to do with.',
  ),

  // FHIR content
  FHIR_NOT_JSON: define(
    'transient',
    'Something between here and the FHIR server answered, or it failed half way.',
  ),
  FHIR_MALFORMED: define('transient', 'The answer is not the FHIR that was asked for; it is asked again.'),
  FHIR_NOT_R4: define('config', 'Set epic_endpoint to the R4 base (for Epic it ends in /api/FHIR/R4).'),
  FHIR_PAGING_LOOP: define(
    'transient',
    'The server’s next links run in a circle; the search is asked again.',
  ),
  FHIR_PAGE_CAP: define('permanent', 'Raise [api_settings] max_pages (0 = all).'),
  FHIR_PAGING_EXPIRED: define(
    'transient',
    'The paging session ended; the search starts again at its first page.',
  ),
  FHIR_FOREIGN_PATIENT: define(
    'transient',
    'The server put another patient’s resource into a search; tell its operator.',
  ),
  FHIR_FOREIGN_TYPE: define(
    'transient',
    'The server put another resource type into a search; tell its operator.',
  ),
  FHIR_OUTCOME: define(
    'permanent',
    '`fhir-rounds explain CODE`, with the Epic code that the report names, says what it means.',
  ),
  FHIR_DATA_WITHHELD: define(
    'denied',
    'The server says that its answer is not the whole of the data (Epic 59204, 59205).',
  ),
  FHIR_ACCESS_DENIED: define(
    'denied',
    'The Epic user may not see this (Epic 4118, 4130, 4131, 4134 Break-the-Glass).',
  ),
  FHIR_PARAMETER_REFUSED: define(
    'permanent',
    'The server refuses a search parameter: mend `query` in the resource list.',
  ),
  FHIR_DELETED: define('permanent', 'The record was deleted at the server (Epic 4103).'),
  FHIR_DOCUMENT_QUOTA: define(
    'transient',
    'Epic’s daily document quota is used up (4135): run with --retry-failed tomorrow.',
  ),
  TYPE_NOT_OFFERED: define(
    'permanent',
    'The server’s CapabilityStatement has no such type: disable its row in the list.',
  ),
  REFERENCE_MISSING: define('permanent', 'A resource refers to a record that the server does not return.'),
  ATTACHMENT_TYPE: define(
    'permanent',
    'Passed over, as [attachments] types says; nothing is to be done unless it is wanted.',
  ),
  ATTACHMENT_TOO_LARGE: define(
    'permanent',
    'Passed over, as [attachments] max_megabytes says; raise it where larger ones are wanted.',
  ),
  ATTACHMENT_UNREADABLE: define(
    'permanent',
    'The server has no content for this attachment, or none that is base64; look at it there.',
  ),
  ATTACHMENT_REPLACED: define(
    'transient',
    'Something between here and the FHIR server answered in the place of an attachment; it is asked again.',
  ),
  MRN_UNMATCHED: define('permanent', 'No patient has this MRN: check the roster line and mrn_system.'),
  MRN_AMBIGUOUS: define(
    'permanent',
    'Several patients have this MRN: set mrn_system, or give fhir_id in the roster.',
  ),
  PATIENT_MERGED: define(
    'permanent',
    'This record was merged into another patient of the roster (Epic 4107): drop this roster line.',
  ),
  SERVER_AWAY: define(
    'transient',
    'The server stayed away longer than max_outage_minutes; what failed is retried later.',
  ),

  // Bulk exports
  BULK_KICKOFF_REFUSED: define(
    'permanent',
    'Check [bulk] group_id, level and types, and that the registration has the bulk APIs (kick-off, status, file and delete).',
  ),
  BULK_EXPORT_FAILED: define(
    'permanent',
    'Run the job again; where it fails again, export fewer types ([bulk] types), or ask the server’s operator about the time of this run.',
  ),
  BULK_EXPORT_GONE: define(
    'permanent',
    'Run the job again for a new export; servers keep one for some days only (Epic for 14).',
  ),
  BULK_MANIFEST_INVALID: define(
    'transient',
    'The manifest is asked for again; where it stays so, tell the server’s operator what is written above.',
  ),
  BULK_FILE_MALFORMED: define(
    'transient',
    'A file of the bulk export is not NDJSON of its type; it is fetched again. If it stays so, tell the server’s operator.',
  ),
  BULK_COUNT_DIFFERS: define(
    'transient',
    'A file of the bulk export has another number of lines than the server said; it is fetched again.',
  ),
  BULK_WAIT_OVER: define(
    'permanent',
    'Ask the server’s operator what became of the export, or raise [bulk] max_wait_hours; the next run asks for a new one.',
  ),

  // State, disk and locks
  RUN_PAUSED: define(
    'transient',
    'The daemon goes on with the run by itself; `fhir-rounds run` does so at once.',
  ),
  RUN_CANCELLED: define('permanent', 'Nothing: a person ended the run with `fhir-rounds cancel`.'),
  LOCK_HELD: define('transient', 'Wait for the run that holds it (`fhir-rounds status`), or stop it.'),
  LEDGER_DAMAGED: define(
    'config',
    'Nothing by hand: the next run moves the ledger aside and rebuilds the history from the manifests.',
  ),
  LEDGER_NEWER: define(
    'config',
    'This ledger was written by a newer fhir-rounds: install that version again.',
  ),
  DISK_FULL: define('transient', 'Free space on the disk; the run resumes where it stopped.'),
  PATH_UNUSABLE: define('config', 'Create the folder, or let the user that runs this write to it.'),
  PATH_EXPOSED: define(
    'config',
    'It holds patient data: the user that runs this has to own it, and nobody else to reach it. Run what is written above.',
  ),
  PUBLISH_MISMATCH: define(
    'permanent',
    'Run again with --fresh and keep this folder for the report of a defect.',
  ),
  VERIFY_DAMAGED: define('permanent', 'Do not use this folder; restore it from a backup or run again.'),
  INTERRUPTED: define('transient', 'Run again: it goes on where it stopped.'),
  INTERNAL: define(
    'permanent',
    'A defect in fhir-rounds: report it with the log of this run (it holds no PHI).',
  ),

  // Mail
  MAIL_LOGIN_REFUSED: define(
    'config',
    'Copy user and password from Proton Bridge again; nothing is sent until the INI changes.',
  ),
  MAIL_REFUSED: define(
    'permanent',
    'The mail server refused the message or an address: check notification_from and notification_to.',
  ),
  MAIL_UNREACHABLE: define(
    'transient',
    'Start Proton Bridge (or the relay); the mail waits and is sent by whatever runs next.',
  ),
  MAIL_INSECURE: define(
    'config',
    'The mail server offers no STARTTLS; nothing goes in clear. Check smtp_port and smtp_secure.',
  ),
} as const satisfies Record<string, ErrorDefinition>;

export type ErrorCode = keyof typeof ERROR_CODES;
