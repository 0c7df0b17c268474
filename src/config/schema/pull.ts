import type { SectionSpec } from './keySpec.ts';

/** Sections on what is pulled and how. */
export const PULL_SECTIONS = {
  data_sources: {
    text: 'Who and what is pulled. The CSVs are described in data/README.md.',
    keys: {
      epic_sandbox_roster: {
        kind: 'file',
        text: 'Roster CSV: one patient a row, by fhir_id or mrn. The name is historical: any roster goes here.',
        default: 'data/roster.csv',
      },
      epic_sandbox_resources: {
        kind: 'file',
        text: 'Resource CSV: one FHIR resource type a row, with optional search parameters.',
        default: 'data/resources.csv',
      },
      mrn_system: {
        kind: 'string',
        text: "Identifier system of the roster's MRNs (a URI). Without one an MRN may match several patients.",
        pull: true,
        example: 'urn:oid:1.2.840.114350.1.13.0.1.7.5.737384.14',
      },
      max_roster_drop_percent: {
        kind: 'number',
        unit: 'percent',
        min: 0,
        max: 100,
        text: 'A roster that lost more than this since the last run stops the run until it is accepted.',
        default: '20',
      },
      roster_bad_rows: {
        kind: 'enum',
        values: ['stop', 'skip'],
        text: 'A malformed or repeated roster row stops the run before its first request, or is skipped and counted.',
        default: 'stop',
        pull: true,
      },
    },
  },
  api_settings: {
    text: 'How the server is asked. Limits hold for all jobs on one server together.',
    keys: {
      page_size: {
        kind: 'integer',
        unit: 'resources',
        min: 1,
        max: 1000,
        text: 'Resources asked for in one page (`_count`).',
        default: '100',
        pull: true,
      },
      max_pages: {
        kind: 'integer',
        unit: 'pages',
        min: 0,
        max: 1_000_000,
        text: 'Pages read of one search, at most; a search that has more is recorded as a gap. 0 = all.',
        default: '0',
        pull: true,
      },
      search_method: {
        kind: 'enum',
        values: ['get', 'post'],
        text: "post sends searches to `_search`, which keeps patients' ids out of URLs and proxies' logs.",
        default: 'get',
        pull: true,
      },
      concurrency: {
        kind: 'integer',
        unit: 'requests',
        min: 1,
        max: 64,
        text: 'Requests under way at once, at most. 5 is what Epic sites are used to.',
        default: '5',
      },
      requests_per_second: {
        kind: 'number',
        unit: 'requests per second',
        min: 0,
        max: 1000,
        text: 'Requests started in a second, at most. 0 = only concurrency limits.',
        default: '0',
      },
      peak_hours: {
        kind: 'hours',
        text: "The clinic's busy hours, by [schedule] timezone: in them the two limits below hold. Epic's customers count 07:00-19:00.",
        example: '07:00-19:00',
      },
      peak_concurrency: {
        kind: 'integer',
        unit: 'requests',
        min: 1,
        max: 64,
        text: 'Requests under way at once in peak_hours, at most. Unset: concurrency.',
        example: '2',
      },
      peak_requests_per_second: {
        kind: 'number',
        unit: 'requests per second',
        min: 0.01,
        max: 1000,
        text: 'Requests started in a second in peak_hours, at most. Unset: requests_per_second.',
        example: '2',
      },
      timeout_seconds: {
        kind: 'number',
        unit: 'seconds',
        min: 1,
        max: 3600,
        text: 'How long one request may take. Epic searches can take minutes.',
        default: '300',
      },
      max_attempts: {
        kind: 'integer',
        unit: 'attempts',
        min: 1,
        max: 20,
        text: 'Tries of one request before its search counts as failed.',
        default: '5',
      },
      max_outage_minutes: {
        kind: 'number',
        unit: 'minutes',
        min: 0,
        max: 2880,
        text: 'How long a run waits for a server that is away. Then a run of the daemon is paused, and goes on by itself later; in a run by hand what is left counts as failed.',
        default: '60',
      },
    },
  },
  network: {
    text: 'The way out.',
    keys: {
      proxy: {
        kind: 'proxy',
        text: 'Proxy for https. Unset: HTTPS_PROXY and NO_PROXY of the environment.',
        secret: true,
        example: 'http://proxy.hospital.example:8080',
      },
      ca_file: {
        kind: 'file',
        text: 'PEM file of certificate authorities to trust besides the known ones.',
        example: 'config/ca.pem',
      },
    },
  },
  file_patterns: {
    text: 'Names and sizes of the NDJSON files.',
    keys: {
      resource_data_file: {
        kind: 'template',
        text: "Name of a file: ${ResourceType} is the type, ${Timestamp} the run's start in UTC.",
        default: '${ResourceType}.ndjson',
        pull: true,
      },
      max_file_megabytes: {
        kind: 'integer',
        unit: 'megabytes',
        min: 0,
        max: 1_000_000,
        text: 'A file that reaches this goes on in a further part (Observation.002.ndjson). 0 = no limit.',
        default: '2000',
        pull: true,
      },
    },
  },
  attachments: {
    text: 'Documents behind DocumentReference.content and DiagnosticReport.presentedForm, and Binaries: as files in `attachments/`.',
    keys: {
      download: {
        kind: 'boolean',
        text: 'Whether they are downloaded. Each is a request, and needs the right to read Binary.',
        default: 'false',
        pull: true,
      },
      types: {
        kind: 'list',
        text: 'MIME types that are wanted; text/* takes all of a kind. Others are passed over and counted. Unset: every type.',
        pull: true,
        example: 'text/*, application/pdf',
      },
      max_megabytes: {
        kind: 'integer',
        unit: 'megabytes',
        min: 1,
        max: 300,
        text: 'Size of one attachment, at most. Larger ones are passed over and counted. As many of this size as concurrency says may be in memory at once.',
        default: '50',
        pull: true,
      },
    },
  },
} as const satisfies Record<string, SectionSpec>;

/** For jobs with method = bulk; stands after [email] in the INI. */
export const BULK_SECTIONS = {
  bulk: {
    text: 'For jobs with `method = bulk` (FHIR Bulk Data export).',
    keys: {
      group_id: {
        kind: 'string',
        text: 'Id of the Group that is exported (level = group, the only one at Epic).',
        pull: true,
        example: 'e3iabhmS8rsueyz7vaimuiaSmfGvi.QwjVXJANlPOgR83',
      },
      level: {
        kind: 'enum',
        values: ['group', 'patient', 'system'],
        text: 'Which $export is asked for.',
        default: 'group',
        pull: true,
      },
      types: {
        kind: 'list',
        text: 'Resource types to export (`_type`). Unset: those of the resource list.',
        pull: true,
        example: 'Patient, Observation, Condition',
      },
    },
  },
} as const satisfies Record<string, SectionSpec>;
