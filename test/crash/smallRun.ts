import {
  startSandbox,
  type FaultRule,
  type OracleLine,
  type Sandbox,
} from '../../src/sandbox/startSandbox.ts';
import { makeSite, oracleRows, type Site } from '../support/site.ts';
import { COUNTS_REPEATS, linesOf } from './aftermath.ts';

/** Practitioner and Medication come by reference, Appointment is shared, Observation has several pages. */
const TYPES = [
  'Patient',
  'Observation',
  'Condition',
  'Appointment',
  'MedicationRequest',
  'Medication',
  'Practitioner',
];

const ONE_SEARCH = { endpoint: 'search', type: 'Condition', patient: 1 } as const;
/** One search fails in the first pass, and is mended by the second. */
export const FAILS_ONCE: readonly FaultRule[] = [
  { match: ONE_SEARCH, when: { first: 1 }, then: { status: 503 } },
];
/** One search fails for good, and the run is partial. */
export const FAILS: readonly FaultRule[] = [{ match: ONE_SEARCH, then: { status: 503 } }];

/** A site with every kind of work and few operations. */
export interface SmallSite {
  readonly sandbox: Sandbox;
  readonly oracle: readonly OracleLine[];
  readonly site: Site;
  close(): Promise<void>;
}

export async function makeSmallSite(): Promise<SmallSite> {
  const sandbox = await startSandbox({ patients: 3, smtp: COUNTS_REPEATS });
  const site = await makeSite({
    sandbox,
    resources: TYPES,
    settings: {
      // One after the other, so that the n-th operation is the same at each repetition.
      'api_settings.concurrency': 1,
      'api_settings.max_attempts': 1,
      'api_settings.page_size': 5,
    },
  });
  return {
    sandbox,
    site,
    oracle: await linesOf(sandbox.oracle(oracleRows(TYPES))),
    close: async () => {
      await site.close();
      await sandbox.close();
    },
  };
}
