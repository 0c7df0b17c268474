import type { SectionSpec } from './keySpec.ts';

/** When runs start. */
export const SCHEDULE_SECTIONS = {
  schedule: {
    text: 'When the daemon starts a run.',
    keys: {
      cron: {
        kind: 'cron',
        text: 'Minute, hour, day, month, weekday (a sixth field in front would be seconds). Unset: only by hand.',
        example: '0 2 * * *',
      },
      timezone: {
        kind: 'timezone',
        text: 'IANA time zone of cron, allowed_hours and the times in mails.',
        default: 'UTC',
        example: 'America/Chicago',
      },
      catch_up: {
        kind: 'enum',
        values: ['once', 'skip'],
        text: 'What happens when the daemon was down, asleep or blocked at the appointed time: one run as soon as allowed_hours permit, or it is passed over.',
        default: 'once',
      },
      allowed_hours: {
        kind: 'hours',
        text: 'Runs make requests in these hours only: one that reaches their end is paused, and goes on when they begin again. Unset: always.',
        example: '19:00-07:00',
      },
      resume_within_hours: {
        kind: 'number',
        unit: 'hours',
        min: 0,
        max: 720,
        text: 'An interrupted run younger than this is resumed; an older one is closed as abandoned.',
        default: '20',
      },
      retry_failed_after_minutes: {
        kind: 'number',
        unit: 'minutes',
        min: 0,
        max: 10_080,
        text: 'The daemon asks what failed again after this, then after twice as long, and so on until the next appointed time. 0 = never.',
        default: '60',
      },
    },
  },
} as const satisfies Record<string, SectionSpec>;

/** The report's way to its readers. */
export const EMAIL_SECTIONS = {
  email: {
    text: 'Mails the report, for instance through Proton Mail Bridge. Without this section nothing is mailed.',
    optional: true,
    keys: {
      smtp_host: {
        kind: 'host',
        text: 'Mail server. For Proton Mail Bridge write 127.0.0.1 and not localhost: its certificate names the address.',
        default: '127.0.0.1',
      },
      smtp_port: { kind: 'integer', min: 1, max: 65535, text: 'Its port.', default: '1025' },
      smtp_secure: {
        kind: 'enum',
        values: ['starttls', 'tls', 'none'],
        text: 'How the connection is encrypted. none is taken towards loopback only.',
        default: 'starttls',
      },
      smtp_auth: { kind: 'enum', values: ['login', 'none'], text: 'Whether to log in.', default: 'login' },
      smtp_user: { kind: 'string', text: 'User, for smtp_auth = login.', example: 'rounds@proton.me' },
      smtp_pass: {
        kind: 'string',
        text: 'Password, for smtp_auth = login. In single quotes, or better in a file named by smtp_pass_file.',
        secret: true,
      },
      smtp_tls_ca: {
        kind: 'file',
        text: "PEM certificate to trust for this server: Proton Mail Bridge's exported one.",
        example: 'config/bridge-cert.pem',
      },
      notification_from: {
        kind: 'address',
        text: 'Sender; with Proton, an enabled address of the account.',
        required: true,
        example: 'rounds@proton.me',
      },
      notification_to: {
        kind: 'addresses',
        text: 'Receivers, separated by commas.',
        required: true,
        example: 'oncall@hospital.example, data@hospital.example',
      },
      notify_on: {
        kind: 'enum',
        values: ['always', 'problems', 'change'],
        text: 'Mail after every run, only when something is wrong (a gap or a mark counts) or well again, or also when the number of records changed.',
        default: 'always',
      },
    },
  },
} as const satisfies Record<string, SectionSpec>;

/** What runs beside the jobs. */
export const SERVICE_SECTIONS = {
  notify: {
    text: 'Who else is told how runs go, beside the mail.',
    keys: {
      ping_url: {
        kind: 'url',
        text: "A healthchecks-style URL: it gets a POST at the end of a complete run, and with /start and /fail behind it at a run's start and when it was not complete. Who does not hear from it in time raises the alarm.",
        secret: true,
        example: 'https://hc-ping.com/your-uuid',
      },
      notify_command: {
        kind: 'string',
        text: 'A program that gets the summary of each run as JSON on its stdin. Its words are separated by blanks or quoted; no shell reads them. It has a minute and none of the secrets.',
        example: '/usr/local/bin/tell-us --channel rounds',
      },
      overdue_after_hours: {
        kind: 'number',
        unit: 'hours',
        min: 0,
        max: 8760,
        text: 'A mail says so, once, when no run has ended so long after its appointed time. 0 = never.',
        default: '12',
      },
    },
  },
  console: {
    text: 'The local web console, a process of its own (`fhir-rounds console`).',
    keys: {
      enabled: {
        kind: 'boolean',
        text: 'Whether PM2 keeps it running; by hand it starts either way.',
        default: 'false',
        wide: true,
      },
      host: {
        kind: 'host',
        text: 'Address that it listens on. Any but a loopback address needs tls_certificate and tls_key.',
        default: '127.0.0.1',
        wide: true,
      },
      port: {
        kind: 'integer',
        min: 0,
        max: 65535,
        text: 'Its port. 0 = any free one.',
        default: '8787',
        wide: true,
      },
      url: {
        kind: 'url',
        text: 'The address by which browsers reach it, where that is not host and port: behind a reverse proxy, or by a name.',
        example: 'https://rounds.hospital.example',
        wide: true,
      },
      tls_certificate: {
        kind: 'file',
        text: 'PEM certificate (chain) to serve https with.',
        example: 'config/console-cert.pem',
        wide: true,
      },
      tls_key: {
        kind: 'file',
        text: 'PEM key of tls_certificate.',
        example: 'config/console-key.pem',
        wide: true,
      },
      idle_minutes: {
        kind: 'integer',
        unit: 'minutes',
        min: 1,
        max: 480,
        text: 'Who does nothing for so long has to log in anew.',
        default: '15',
        wide: true,
      },
      duckdb_folder: {
        kind: 'folder',
        text: 'Folder in whose node_modules @duckdb/node-api is installed, for the SQL page. Unset: beside the program.',
        example: '/opt/duckdb',
        wide: true,
      },
      gateway: {
        kind: 'enum',
        values: ['auto', 'on', 'off'],
        text: 'Whether single resources can be looked up at the FHIR server. auto: at sandboxes alone; on: in production too, limited to patients of the roster.',
        default: 'auto',
      },
    },
  },
  logging: {
    text: "The program's own log. It holds no PHI.",
    keys: {
      level: {
        kind: 'enum',
        values: ['debug', 'info', 'warn', 'error'],
        text: 'The least level that is written.',
        default: 'info',
        wide: true,
      },
      target: {
        kind: 'enum',
        values: ['file', 'stdout', 'both'],
        text: 'Where to: files in log_folder, the terminal (stderr), or both.',
        default: 'both',
        wide: true,
      },
    },
  },
  retention: {
    text: 'Published runs that are kept. A run goes only when both limits allow it.',
    keys: {
      keep_runs: {
        kind: 'integer',
        unit: 'runs',
        min: 1,
        max: 100_000,
        text: 'The newest runs that stay.',
        default: '30',
      },
      keep_days: {
        kind: 'integer',
        unit: 'days',
        min: 1,
        max: 36_500,
        text: 'Runs younger than this stay.',
        default: '30',
      },
    },
  },
} as const satisfies Record<string, SectionSpec>;
