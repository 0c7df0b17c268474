import { rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { exists, syncFolder } from '../system/files.ts';
import type { ExportContext } from './exportContext.ts';
import { keysFileOf } from './exportNames.ts';
import { uniqueLines, withoutLines } from './uniqueLines.ts';

/**
 * Sees to it that no type and id stands twice in the run: a server may list a resource in two files, and several exports
 * do so for what patients share. The first copy stays, by the order of the files; a file that loses lines is written
 * anew beside itself, then the ledger is told, then it takes the other's place, so that a crash finds either.
 */
export async function makeUnique(context: ExportContext): Promise<void> {
  const { exportTally, staging, record, modes, signal } = context;
  if (exportTally.isUnique) return;
  const files = exportTally.whole
    .filter(({ kind }) => kind === 'output')
    .map(({ fileNo, name, lines }) => ({
      fileNo,
      file: path.join(staging, name),
      keysFile: keysFileOf(staging, fileNo),
      count: lines,
    }));
  const found = await uniqueLines(files, { signal });
  let same = 0;
  let differing = 0;
  const changed = [];
  for (const { file, copies: gone } of found) {
    const { fileNo } = files.find((one) => one.file === file)!;
    const rewritten = await withoutLines(
      file,
      draftOf(file),
      gone.map(({ line }) => line),
      modes,
    );
    changed.push({ fileNo, ...rewritten });
    const alike = gone.filter(({ isSame }) => isSame).length;
    same += alike;
    differing += gone.length - alike;
  }
  await record.unique({ step: 'unique', files: changed }, [same, differing]);
  await settleUnique(
    context,
    changed.map(({ fileNo }) => exportTally.files[fileNo]!.name),
  );
}

/** Puts what was written anew in its place where the ledger says so, and takes it away where not. */
export async function settleUnique(
  { exportTally, staging }: Pick<ExportContext, 'exportTally' | 'staging'>,
  names: readonly string[],
): Promise<void> {
  for (const name of names) {
    const file = path.join(staging, name);
    if (!(await exists(draftOf(file)))) continue;
    if (exportTally.isUnique) await rename(draftOf(file), file);
    else await rm(draftOf(file));
  }
  await syncFolder(staging);
}

function draftOf(file: string): string {
  return `${file}.unique`;
}
