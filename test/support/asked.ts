import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { openLedgerForReading } from '../../src/run/ledger.ts';
import { hasSnapshot, openSnapshot, snapshotFolder } from '../../src/run/snapshot.ts';
import { OUTCOMES } from '../../src/run/tally.ts';
import type { RecordedRequest } from '../../src/sandbox/startSandbox.ts';
import { openDatabase } from '../../src/system/sqlite.ts';
import type { Site } from './site.ts';

/** What the ledger holds of the run that a crash left open. */
export interface Held {
  /** Of the open run; undefined: none is open. */
  readonly runId: string | undefined;
  /** `Type patientId` of each search that is done, `Type/id` of each shared record or attachment that is written. */
  readonly done: ReadonlySet<string>;
  /** `Type patientId` of each search that failed, and is asked once more before the run ends. */
  readonly failed: ReadonlySet<string>;
  /** Runs whose mail no server is known to have taken. */
  readonly mailsWaiting: readonly string[];
  /** Runs that were closed. */
  readonly closed: number;
}

/** Reads the ledger as a crash left it. */
export async function heldBy({ stateFolder }: Site, job = 'default'): Promise<Held> {
  const done = new Set<string>();
  const failed = new Set<string>();
  const ledger = openLedgerForReading(stateFolder);
  if (ledger === undefined) return { runId: undefined, done, failed, mailsWaiting: [], closed: 0 };
  try {
    const mailsWaiting = ledger.outbox.waitingRunIds();
    const closed = ledger.runs({ jobName: job }).filter(({ state }) => state === 'closed').length;
    const run = ledger.openRunOf(job);
    if (run === undefined) return { runId: undefined, done, failed, mailsWaiting, closed };
    const folder = snapshotFolder(stateFolder, run.runId);
    if (!(await hasSnapshot(folder))) return { runId: run.runId, done, failed, mailsWaiting, closed };
    const { plan } = (await openSnapshot(folder)).settings;
    const roster = (await readFile(path.join(folder, 'roster.ndjson'), 'utf8')).trimEnd().split('\n');
    for (const { commit } of ledger.pulls.commits(run.runNo)) {
      for (const [searchNo, outcome] of commit.searches) {
        const [, patientId] = JSON.parse(roster[Math.floor(searchNo / plan.searched.length)]!) as [
          number,
          string,
        ];
        const search = `${plan.searched[searchNo % plan.searched.length]!.resourceType} ${patientId}`;
        const [now, before] = OUTCOMES[outcome] === 'failed' ? [failed, done] : [done, failed];
        now.add(search);
        before.delete(search);
      }
    }
    const byReference = new Set(plan.referenced.map(({ resourceType }) => resourceType));
    for (const shared of writtenShared(stateFolder, run.runNo)) {
      const type = shared.slice(0, shared.indexOf('/'));
      if (byReference.has(type)) done.add(shared);
      if (type === 'Attachment') done.add(shared.slice(type.length + 1));
    }
    return { runId: run.runId, done, failed, mailsWaiting, closed };
  } finally {
    ledger.close();
  }
}

/** Whether a run is open; to be asked also while one is under way. */
export function hasOpenRun({ stateFolder }: Site, job = 'default'): boolean {
  const ledger = openLedgerForReading(stateFolder);
  try {
    return ledger?.openRunOf(job) !== undefined;
  } finally {
    ledger?.close();
  }
}

function writtenShared(stateFolder: string, runNo: number): readonly string[] {
  const db = openDatabase(path.join(stateFolder, 'ledger.sqlite'), { readOnly: true });
  try {
    const rows = db
      .prepare('SELECT resource_type AS type, resource_id AS id FROM shared WHERE run_no = ? AND state = 1')
      .all(runNo) as unknown as { type: string; id: string }[];
    return rows.map(({ type, id }) => `${type}/${id}`);
  } finally {
    db.close();
  }
}

/** What requests asked for, named as in `Held`. */
export function askedFor(requests: readonly RecordedRequest[]): string[] {
  return requests.flatMap(({ endpoint, type = '', path: url, query }) => {
    if (endpoint === 'read') {
      const id = decodeURIComponent(url.split('/').at(-1)!);
      return [type === 'Patient' ? `Patient ${id}` : `${type}/${id}`];
    }
    if (endpoint !== 'search') return [];
    const parameters = new URLSearchParams(query);
    const patientId = parameters.get('patient');
    if (patientId !== null) return [`${type} ${patientId}`];
    return (parameters.get('_id') ?? '').split(',').map((id) => `${type}/${id}`);
  });
}

/** Names in a folder; none when it is not there. */
export async function namesIn(folder: string): Promise<readonly string[]> {
  return (await readdir(folder).catch(() => [])).toSorted();
}
