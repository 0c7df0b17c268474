import type { AuditHead } from '../run/audit.ts';
import type { SearchCounts } from '../report/summary.ts';
import { hashInName } from './layout.ts';

/**
 * `manifest.json`: the manifest of FHIR Bulk Data Access (IG 2.0, "Export: Response - Complete Status"), so that
 * tools which read an export's folder read ours; what is ours stands in `extension`, as the IG provides.
 * Its JSON Schema is publish/manifest.schema.json.
 */
export interface Manifest {
  /** The instant that the data is at least as new as; for a crawl its start. */
  readonly transactionTime: string;
  /** The FHIR base that was crawled, or the kick-off URL of a bulk export. */
  readonly request: string;
  readonly requiresAccessToken: false;
  /** Of a bulk export with `organizeOutputBy`. */
  readonly outputOrganizedBy?: string;
  readonly output: readonly ManifestFile[];
  readonly deleted: readonly ManifestFile[];
  readonly error: readonly ManifestFile[];
  readonly extension: {
    readonly formatVersion: 1;
    readonly job: string;
    readonly runId: string;
    readonly status: 'complete' | 'partial';
    readonly startedAt: string;
    readonly finishedAt: string;
    readonly searches: SearchCounts;
    readonly configHash: string;
    /** The audit file's newest line when this was written; absent in folders older than the audit. */
    readonly audit?: AuditHead;
    /** Every other file of the folder but this one. */
    readonly files: readonly { readonly url: string; readonly bytes: number; readonly sha256: string }[];
  };
}

export interface ManifestFile {
  readonly type: string;
  /** Relative to the manifest. */
  readonly url: string;
  /** Lines, a resource each. */
  readonly count: number;
  /** The file in which the last patient's block goes on (`outputOrganizedBy`). */
  readonly continuesInFile?: string;
  readonly extension: { readonly bytes: number; readonly sha256: string };
}

export const MANIFEST = 'manifest.json';

/** The attachments of a published run; each is a file of `extension.files`. */
export function attachmentsOf({ extension }: Manifest): { readonly files: number; readonly bytes: number } {
  const sizes = extension.files.flatMap(({ url, bytes }) => (hashInName(url) === undefined ? [] : [bytes]));
  return { files: sizes.length, bytes: sizes.reduce((sum, size) => sum + size, 0) };
}
