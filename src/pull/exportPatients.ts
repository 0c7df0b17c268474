import { asRoundsError } from '../errors.ts';
import { snapshotRoster, type SnapshotSettings } from '../run/snapshot.ts';
import type { Cause } from '../run/tally.ts';
import { causeOf, isFinalAnswer } from './causes.ts';
import type { ExportContext } from './exportContext.ts';
import { PatientIdentity } from './identity.ts';

/** The patients that one export is asked for. */
export interface Chunk {
  /** Empty: everyone of the level. */
  readonly patientIds: readonly string[];
  /** Roster lines whose patient could not be found out. */
  readonly gaps: readonly Cause[];
}

/** How many exports a run takes. */
export function chunkCount({ bulk, patients }: SnapshotSettings): number {
  const { patientsPerExport } = bulk!;
  return patientsPerExport === undefined ? 1 : Math.ceil(patients / patientsPerExport);
}

/** The roster's patients of export number `exportNo`, MRNs resolved. Throws what keeps the server from answering. */
export async function patientsOf(context: ExportContext, exportNo: number): Promise<Chunk> {
  const { snapshot } = context;
  const { patientsPerExport } = snapshot.settings.bulk!;
  const patientIds: string[] = [];
  const gaps: Cause[] = [];
  if (patientsPerExport === undefined) return { patientIds, gaps };
  const from = exportNo * patientsPerExport;
  for await (const patient of snapshotRoster(snapshot.folder)) {
    if (patient.patientNo < from) continue;
    if (patient.patientNo >= from + patientsPerExport) break;
    if (patient.patientId !== undefined) {
      patientIds.push(patient.patientId);
      continue;
    }
    try {
      const identity = await new PatientIdentity(patient, context).current();
      if (identity.kind === 'patient') patientIds.push(identity.patientId);
      else if (identity.kind === 'gap') gaps.push(identity.cause);
    } catch (thrown) {
      const error = asRoundsError(thrown);
      if (!isFinalAnswer(error)) throw thrown;
      gaps.push({ ...causeOf(error), rosterLine: patient.line });
    }
  }
  return { patientIds, gaps };
}
