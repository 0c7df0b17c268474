import path from 'node:path';
import type { Problem } from '../errors.ts';
import { isWindows } from '../system/files.ts';
import type { JobConfig, Settings } from './schema.ts';
import { isLoopback } from './values.ts';

export interface Findings {
  readonly problems: Problem[];
  readonly warnings: string[];
}

/** `application/pdf`, or `text/*`. */
const MIME_TYPE = /^[a-z0-9!#$&^_.+-]+\/(?:\*|[a-z0-9!#$&^_.+-]+)$/i;

/** Where a key of a job was given, as the start of a message. */
export type WhereOf = (jobName: string, name: string) => string;

/** What one key cannot tell: rules between keys of a job. Sections are complete and of the right types here. */
export function checkJob({ jobName, method, settings }: JobConfig, whereOf: WhereOf, found: Findings): void {
  const report = (name: string, what: string): void =>
    void found.problems.push({ where: whereOf(jobName, name), what });
  const { attachments, bulk, console: webConsole, email, jwt_settings: jwt } = settings;

  // iat lies ten seconds back against clock differences, and exp - iat may be five minutes at most (Epic, H).
  if (jwt.jwt_expiry_minutes > 4.8) {
    const where = whereOf(jobName, 'jwt_settings.jwt_expiry_minutes');
    found.warnings.push(
      `${where}: Epic refuses assertions of more than 5 minutes in all; 4 leaves room for clocks`,
    );
  }
  if (method === 'bulk' && bulk.level === 'group' && bulk.group_id === undefined) {
    report('bulk.group_id', 'is not set; method = bulk with level = group needs the id of the group');
  }
  checkBulk(bulk, report);
  const noMimeType = attachments.types?.find((type) => !MIME_TYPE.test(type));
  if (noMimeType !== undefined)
    report('attachments.types', `has "${noMimeType}"; write MIME types such as text/*, application/pdf`);
  checkConsole(webConsole, report);
  checkPeak(settings.api_settings, report);
  if (email === undefined) return;
  if (email.smtp_auth === 'login') {
    for (const key of ['smtp_user', 'smtp_pass'] as const) {
      const also = key === 'smtp_pass' ? ' or smtp_pass_file' : '';
      if (email[key] === undefined)
        report(`email.${key}`, `is not set; write ${key}${also}, or smtp_auth = none`);
    }
  }
  if (email.smtp_secure === 'none' && !isLoopback(email.smtp_host)) {
    report('email.smtp_secure', 'would send the report in clear over the network; write starttls or tls');
  }
  if (email.smtp_host === 'localhost' && email.smtp_secure !== 'none') {
    const where = whereOf(jobName, 'email.smtp_host');
    found.warnings.push(
      `${where}: Proton Mail Bridge's certificate names 127.0.0.1 and not localhost; write 127.0.0.1`,
    );
  }
}

/** Health records leave this machine encrypted, or not at all. */
function checkConsole(
  { host, tls_certificate: certificate, tls_key: key }: Settings['console'],
  report: (name: string, what: string) => void,
): void {
  if ((certificate === undefined) !== (key === undefined)) {
    const missing = certificate === undefined ? 'tls_certificate' : 'tls_key';
    report(`console.${missing}`, 'is not set; tls_certificate and tls_key go together');
  } else if (certificate === undefined && !isLoopback(host)) {
    report(
      'console.host',
      'is no loopback address, which needs tls_certificate and tls_key; or write 127.0.0.1 and reach it through an SSH tunnel',
    );
  }
}

const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/;

function checkBulk(bulk: Settings['bulk'], report: (name: string, what: string) => void): void {
  const badType = bulk.types?.find((type) => !/^[A-Z][A-Za-z]+$/.test(type));
  if (badType !== undefined)
    report('bulk.types', `has "${badType}"; write resource types such as Patient, Observation`);
  if (bulk.patients === 'roster' && bulk.level === 'system') {
    report('bulk.patients', 'is roster, which level = system does not know; write level = group or patient');
  }
  const isInstant = (text: string): boolean => INSTANT.test(text) && !Number.isNaN(Date.parse(text));
  if (bulk.since !== undefined && bulk.since !== 'last' && !isInstant(bulk.since)) {
    report('bulk.since', `is "${bulk.since}"; write last, or an instant such as 2026-11-01T00:00:00Z`);
  }
  if (bulk.until !== undefined && !isInstant(bulk.until)) {
    report('bulk.until', `is "${bulk.until}"; write an instant such as 2026-11-01T00:00:00Z`);
  }
  const badOrigin = bulk.file_origins?.find((url) => !isFileOrigin(url));
  if (badOrigin !== undefined) {
    report('bulk.file_origins', `has "${badOrigin}"; write https://host, with a port where it has one`);
  }
}

/** https, or http towards loopback, and nothing behind the host. */
function isFileOrigin(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, hostname, origin } = new URL(text);
  const isSafe = protocol === 'https:' || (protocol === 'http:' && isLoopback(hostname));
  return isSafe && (text === origin || text === `${origin}/`);
}

/** In peak hours the server is asked less, never more. */
function checkPeak(api: Settings['api_settings'], report: (name: string, what: string) => void): void {
  const { concurrency, requests_per_second: rate } = api;
  const { peak_hours: hours, peak_concurrency: peakConcurrency, peak_requests_per_second: peakRate } = api;
  if (peakConcurrency !== undefined && peakConcurrency > concurrency) {
    report('api_settings.peak_concurrency', `is more than concurrency; write at most ${concurrency}`);
  }
  if (peakRate !== undefined && rate > 0 && peakRate > rate) {
    report(
      'api_settings.peak_requests_per_second',
      `is more than requests_per_second; write at most ${rate}`,
    );
  }
  const hasLimit = peakConcurrency !== undefined || peakRate !== undefined;
  if (hours === undefined && hasLimit) {
    report('api_settings.peak_hours', 'is not set, and so the limits for it never hold; write 07:00-19:00');
  } else if (hours !== undefined && !hasLimit) {
    report('api_settings.peak_hours', 'changes nothing without peak_concurrency; write peak_concurrency = 2');
  }
}

/** Folders that would get into each other's way: retention and readers take what lies in an export folder. */
export function checkFolders(jobs: readonly JobConfig[], whereOf: WhereOf, found: Findings): void {
  const report = (job: JobConfig, what: string): void => {
    found.problems.push({ where: whereOf(job.jobName, 'paths.epic_data_export_folder'), what });
  };
  for (const job of jobs) {
    const { epic_data_export_folder: exports, state_folder: state, log_folder: logs } = job.settings.paths;
    for (const [name, folder] of [
      ['state_folder', state],
      ['log_folder', logs],
    ] as const) {
      if (isWithin(exports, folder)) report(job, `lies in ${name} (${folder}); write a folder of its own`);
      else if (isWithin(folder, exports)) report(job, `holds ${name} (${folder}); move one of the two`);
    }
    for (const other of jobs) {
      if (other === job) continue;
      const runs = path.join(other.settings.paths.epic_data_export_folder, other.jobName);
      if (isWithin(exports, runs))
        report(job, `lies among the runs of job ${other.jobName} (${runs}); write another`);
    }
  }
}

/** Whether `inner` is `outer` or lies in it; by name, since neither need exist. */
function isWithin(inner: string, outer: string): boolean {
  const fold = (folder: string): string => (isWindows ? folder.toLowerCase() : folder);
  const relative = path.relative(fold(outer), fold(inner));
  return (
    relative === '' ||
    (!relative.startsWith('..' + path.sep) && relative !== '..' && !path.isAbsolute(relative))
  );
}
