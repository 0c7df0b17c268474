import { rename } from 'node:fs/promises';
import path from 'node:path';
import { asRoundsError, RoundsError } from '../errors.ts';
import { partTimestamp } from '../publish/layout.ts';
import type { Clock } from '../system/clock.ts';
import { asFileError, exists, syncFolder } from '../system/files.ts';
import { openDatabase } from '../system/sqlite.ts';
import { LEDGER_FILE, openBehindGate, type Ledger } from './ledger.ts';
import { isAnyRunUnderWay, throughGate } from './ledgerGate.ts';
import { APPLICATION_ID } from './ledgerSchema.ts';
import type { NumberedMail } from './ledgerTables.ts';

/**
 * Moves a damaged ledger aside (`ledger.sqlite.damaged-<UTC>`, with its journal, never deleted) and makes a new one,
 * with the mails that waited where they can still be read; its history is rebuilt by `completeHistory`.
 *
 * `damaged`: the ledger that is open and whose rows were found damaged; without it, the file could not even be
 * opened. A ledger that another process has replaced meanwhile is opened as it is. Throws LOCK_HELD while any run
 * is under way with the old one, PATH_UNUSABLE, DISK_FULL.
 */
export async function replaceLedger(
  stateFolder: string,
  clock: Clock,
  error: RoundsError,
  damaged: Ledger | undefined,
): Promise<Ledger> {
  return throughGate(stateFolder, async () => {
    if (damaged?.isReplaced) return openBehindGate(stateFolder);
    if (damaged === undefined) {
      const mended = await openBehindGate(stateFolder).catch((thrown: unknown) => {
        if (asRoundsError(thrown).code !== 'LEDGER_DAMAGED') throw thrown;
      });
      if (mended) return mended;
    }
    if (await isAnyRunUnderWay(stateFolder)) {
      throw new RoundsError('LOCK_HELD', `${error.message}; another run is under way with it`, {
        hint: 'Wait for that run to end: the ledger is replaced by whatever runs next.',
        cause: error,
      });
    }
    const file = path.join(stateFolder, LEDGER_FILE);
    const mails = waitingMails(file);
    const aside = await moveAside(file, clock);
    const ledger = await openBehindGate(stateFolder);
    ledger.incidents.explainNew(
      `The ledger was damaged (${error.message.replaceAll(`${file}: `, '').replaceAll(file, 'it')}) and was moved aside to ${path.basename(aside)}. ${mailSentence(mails)}`,
    );
    ledger.outbox.adopt(mails ?? []);
    return ledger;
  });
}

function mailSentence(mails: readonly NumberedMail[] | undefined): string {
  if (mails === undefined) return 'Mails that waited in it could not be read.';
  if (mails.length === 0) return 'No mail waited in it.';
  return mails.length === 1
    ? 'The mail that waited was kept.'
    : `The ${mails.length} mails that waited were kept.`;
}

/** The journal first: a ledger without its last commits is whole, a new ledger beside an old journal is not. */
async function moveAside(file: string, clock: Clock): Promise<string> {
  const stamped = `${file}.damaged-${partTimestamp(clock.now())}`;
  let aside = stamped;
  for (let again = 2; await exists(aside); again++) aside = `${stamped}-${again}`;
  try {
    for (const suffix of ['-wal', '-shm', '']) {
      if (await exists(`${file}${suffix}`)) await rename(`${file}${suffix}`, `${aside}${suffix}`);
    }
    await syncFolder(path.dirname(file));
  } catch (error) {
    throw asFileError(error, aside);
  }
  return aside;
}

/** Mails of a damaged ledger that were not sent: undefined when they cannot be read, or not all of them. */
function waitingMails(file: string): readonly NumberedMail[] | undefined {
  let db;
  try {
    db = openDatabase(file, { readOnly: true });
    const { application_id: owner } = db.prepare('PRAGMA application_id').get() as { application_id: number };
    if (owner !== 0 && owner !== APPLICATION_ID) return undefined;
    // Not by the index, which may be what is damaged.
    const rows = db
      .prepare(
        `SELECT mail_no, job, run_id, subject, body_text, body_html, created_at
       FROM outbox NOT INDEXED WHERE sent_at IS NULL ORDER BY mail_no`,
      )
      .all() as Record<string, unknown>[];
    return rows.map(asMail);
  } catch {
    return undefined;
  } finally {
    db?.close();
  }
}

function asMail(row: Record<string, unknown>): NumberedMail {
  const text = (name: string): string => {
    if (typeof row[name] !== 'string') throw new RangeError('not a mail');
    return row[name];
  };
  const { mail_no: mailNo, created_at: createdAtMs } = row;
  if (!Number.isSafeInteger(mailNo) || !Number.isSafeInteger(createdAtMs)) throw new RangeError('not a mail');
  return {
    mailNo: mailNo as number,
    jobName: text('job'),
    runId: text('run_id'),
    subject: text('subject'),
    text: text('body_text'),
    html: text('body_html'),
    createdAtMs: createdAtMs as number,
  };
}
