import { readFile, stat } from 'node:fs/promises';
import { certificateTerm } from '../auth/certificate.ts';
import type { DiskFacts } from '../report/outlook.ts';
import type { RunSummary } from '../report/summary.ts';
import { freeBytes } from '../system/files.ts';
import type { CloseContext } from './deps.ts';
import type { RunRow } from './ledgerRows.ts';

/** What a report says of the machine: it never fails a run, so what cannot be found out is left out. */
export interface SiteFacts {
  readonly disk: DiskFacts | undefined;
  readonly credentials: RunSummary['credentials'];
}

export async function siteFacts(context: CloseContext, runs: readonly RunRow[]): Promise<SiteFacts> {
  return { disk: await diskFacts(context, runs), credentials: await credentialsOf(context) };
}

async function diskFacts(
  { folders, keepRuns, keepDays }: CloseContext,
  runs: readonly RunRow[],
): Promise<DiskFacts | undefined> {
  try {
    // The run that is about to be published stands beside those whose folders are there.
    const standing = 1 + runs.filter(({ folder }) => folder !== undefined).length;
    return { freeBytes: await freeBytes(folders.job), standing, keepRuns, keepDays };
  } catch {
    return undefined;
  }
}

/** The certificate's own days where there is one; else a key is as old as its file. */
async function credentialsOf({
  privateKeyFile,
  certificateFile,
}: CloseContext): Promise<RunSummary['credentials']> {
  try {
    if (certificateFile !== undefined) {
      const { fromMs, untilMs } = certificateTerm(await readFile(certificateFile, 'utf8'));
      return { keySinceMs: fromMs, certificateUntilMs: untilMs };
    }
    const { mtimeMs } = await stat(privateKeyFile);
    return { keySinceMs: Math.round(mtimeMs), certificateUntilMs: undefined };
  } catch {
    return undefined;
  }
}
