import { RoundsError } from '../errors.ts';
import type { FhirClient } from '../fhir/client.ts';
import type { Ledger } from '../run/ledger.ts';
import type { RunRow } from '../run/ledgerRows.ts';
import { snapshotRoster, type RosterPatient, type Snapshot } from '../run/snapshot.ts';
import type { Cause } from '../run/tally.ts';

/** Who a roster row is at the server. */
export type Identity =
  /** To be searched under this id; what the server returns may name `survivorId` where records were merged. */
  | { readonly kind: 'patient'; readonly patientId: string; readonly survivorId: string }
  /** The same patient as another row of the roster, whose searches bring everything. */
  | { readonly kind: 'same'; readonly line: number }
  /** An MRN that names no patient, or several. */
  | { readonly kind: 'gap'; readonly cause: Cause };

export interface IdentityOptions {
  readonly ledger: Ledger;
  readonly run: RunRow;
  readonly client: FhirClient;
  readonly snapshot: Snapshot;
}

/**
 * The identity of one roster row, found out when the first of its searches needs it and shared by all of them.
 * A row with an id is that id until the server shows that its record was merged into another (Epic 4107).
 */
export class PatientIdentity {
  readonly patient: RosterPatient;
  readonly #options: IdentityOptions;
  #identity: Promise<Identity> | undefined;
  #merging: Promise<Identity> | undefined;

  constructor(patient: RosterPatient, options: IdentityOptions) {
    this.patient = patient;
    this.#options = options;
  }

  /** Throws what the MRN's search throws. */
  async current(): Promise<Identity> {
    this.#identity ??= this.#find();
    return this.#identity;
  }

  async #find(): Promise<Identity> {
    const { ledger, run } = this.#options;
    const { patientNo, patientId, mrn } = this.patient;
    const known = ledger.pulls.identityOf(run.runNo, patientNo);
    if (patientId !== undefined) return { kind: 'patient', patientId, survivorId: known ?? patientId };
    if (known !== undefined) return { kind: 'patient', patientId: known, survivorId: known };
    return this.#resolveMrn(mrn!);
  }

  async #resolveMrn(mrn: string): Promise<Identity> {
    const { client, snapshot } = this.#options;
    const { line, patientNo } = this.patient;
    const { mrnSystem } = snapshot.settings;
    const found = new Set<string>();
    const visited = new Set<string>();
    let fetched = await client.search('Patient', [['identifier', mrnSystem ? `${mrnSystem}|${mrn}` : mrn]]);
    for (;;) {
      const { page, verdict, url } = fetched;
      if (verdict.gap) return { kind: 'gap', cause: { ...verdict.gap, rosterLine: line } };
      for (const entry of page.entries) if (entry.resourceType === 'Patient') found.add(entry.resourceId);
      // Two are already too many to choose from.
      if (page.next === undefined || found.size > 1) break;
      if (visited.has(page.next))
        throw new RoundsError('FHIR_PAGING_LOOP', 'the pages of a search run in a circle');
      visited.add(page.next);
      fetched = await client.nextPage(page.next, url);
    }
    const [patientId, another] = found;
    if (patientId === undefined) return { kind: 'gap', cause: { code: 'MRN_UNMATCHED', rosterLine: line } };
    if (another !== undefined) return { kind: 'gap', cause: { code: 'MRN_AMBIGUOUS', rosterLine: line } };
    return this.#claim(patientNo, patientId, patientId);
  }

  /**
   * To be asked when an answer named another patient: who that record was merged into. Throws
   * FHIR_FOREIGN_PATIENT when the server does not say that it was merged.
   */
  async merged(): Promise<Identity> {
    this.#merging ??= this.#resolveMerge().finally(() => {
      // A failure is this answer's alone: the next one that names another patient asks again.
      this.#merging = undefined;
    });
    return this.#merging;
  }

  async #resolveMerge(): Promise<Identity> {
    const before = await (this.#identity ??= this.#find());
    // Another of the patient's searches may have met the merge before.
    if (before.kind !== 'patient' || before.survivorId !== before.patientId) return before;
    const { resourceId } = await this.#options.client.read('Patient', before.patientId);
    if (resourceId === before.patientId) {
      throw new RoundsError('FHIR_FOREIGN_PATIENT', 'a search of one patient brought another’s resource');
    }
    const identity = await this.#claim(this.patient.patientNo, before.patientId, resourceId);
    this.#identity = Promise.resolve(identity);
    return identity;
  }

  async #claim(patientNo: number, patientId: string, survivorId: string): Promise<Identity> {
    const { ledger, run } = this.#options;
    if (patientId !== survivorId) {
      const line = await this.#lineOf((row) => row.patientId === survivorId);
      if (line !== undefined) return { kind: 'same', line };
    }
    const owner = ledger.pulls.claimIdentity(run.runNo, patientNo, survivorId);
    if (owner === patientNo) return { kind: 'patient', patientId, survivorId };
    return { kind: 'same', line: (await this.#lineOf((row) => row.patientNo === owner)) ?? 0 };
  }

  /** Reads the roster through: merges are rare, and an index of a million ids is not worth its memory. */
  async #lineOf(isIt: (row: RosterPatient) => boolean): Promise<number | undefined> {
    for await (const row of snapshotRoster(this.#options.snapshot.folder)) if (isIt(row)) return row.line;
    return undefined;
  }
}
