import { closeSync, openSync } from 'node:fs';
import { RoundsError } from '../errors.ts';
import { errno } from '../system/files.ts';
import { continues, hashOf, readLink, type AuditHead } from './audit.ts';
import { linesFrom } from './auditFile.ts';

/** Someone who knows a place of the chain: the ledger, a manifest. */
export interface AuditWitness extends AuditHead {
  /** As a message names it. */
  readonly name: string;
}

export interface AuditEvidence {
  /** The ledger's newest line; undefined when there is no ledger to ask. */
  readonly ledger: AuditHead | undefined;
  readonly witnesses: readonly AuditWitness[];
  /** sha256 of the manifest.json of published runs that are still there. */
  readonly manifests: ReadonlyMap<string, string>;
}

export interface AuditResult {
  readonly file: string;
  /** Good lines, from the first on. */
  readonly lines: number;
  readonly head: AuditHead | undefined;
  /** What is wrong, a sentence each, the first bad line first; empty when all is as it was written. */
  readonly damage: readonly string[];
  /** What is no damage and yet worth a word. */
  readonly notes: readonly string[];
}

/**
 * Holds an audit file against itself and against those who know its lines. Reads it once; changes nothing.
 *
 * One line beyond the ledger's head, and half a line at the end, are what a crash leaves: the next run takes the one
 * over and drops the other. Anything else is damage. Without a ledger and without witnesses a cut end cannot show.
 * Throws VERIFY_DAMAGED when there is no file though somebody knows lines of it, or PATH_UNUSABLE.
 */
export function verifyAudit(file: string, { ledger, witnesses, manifests }: AuditEvidence): AuditResult {
  const known: readonly AuditWitness[] = [
    ...(ledger === undefined ? [] : [{ ...ledger, name: 'the ledger' }]),
    ...witnesses,
  ];
  const damage: string[] = [];
  const notes: string[] = [];
  let head: AuditHead | undefined;
  const fd = openForReading(file, known.length > 0);
  try {
    for (const { line, isWhole } of fd === undefined ? [] : linesFrom(fd, 0)) {
      const seq = (head?.seq ?? 0) + 1;
      if (!isWhole && (ledger === undefined || ledger.seq === head?.seq)) {
        notes.push(`line ${seq} was cut off by a crash; the next run drops it`);
        break;
      }
      const link = isWhole ? readLink(line) : undefined;
      if (link === undefined || !continues(link, head)) {
        damage.push(badLine(seq, head));
        break;
      }
      head = { seq, sha256: hashOf(line) };
      for (const one of known) {
        if (one.seq === seq && one.sha256 !== head.sha256)
          damage.push(`line ${seq} is not the one ${one.name} knows`);
      }
      const manifest = link.event === 'run.published' ? manifests.get(link.runId ?? '') : undefined;
      if (manifest !== undefined && manifest !== link.manifestSha256) {
        damage.push(`line ${seq}: the manifest of run ${link.runId} is not the one that was published`);
      }
      if (damage.length > 0) break;
    }
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
  const last = head?.seq ?? 0;
  if (damage.length === 0) {
    for (const one of known.filter(({ seq }) => seq > last)) {
      damage.push(`line ${last + 1} is missing: ${one.name} knows ${one.seq} lines`);
    }
    if (ledger !== undefined && last > ledger.seq + 1) {
      damage.push(
        `line ${ledger.seq + 1} and those after it are unknown to the ledger: they were added, or the ledger is an older copy`,
      );
    }
  }
  const lines = damage.length === 0 ? last : Math.max(0, last - 1);
  return { file, lines, head, damage, notes };
}

function badLine(seq: number, head: AuditHead | undefined): string {
  return head === undefined
    ? `line ${seq} is not the first of an audit file`
    : `line ${seq} does not follow line ${seq - 1}: one of them was changed, removed or added`;
}

function openForReading(file: string, mustExist: boolean): number | undefined {
  try {
    return openSync(file, 'r');
  } catch (error) {
    if (errno(error) !== 'ENOENT') {
      throw new RoundsError('PATH_UNUSABLE', `${file} cannot be read`, { cause: error });
    }
    if (!mustExist) return undefined;
    throw new RoundsError('VERIFY_DAMAGED', `there is no ${file}, and its lines are known`, {
      hint: 'Restore it from a backup of state_folder.',
    });
  }
}
