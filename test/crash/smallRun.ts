import {
  startSandbox,
  type FaultRule,
  type OracleLine,
  type Sandbox,
} from '../../src/sandbox/startSandbox.ts';
import { makeSite, oracleRows, type Site } from '../support/site.ts';
import { linesOf } from './aftermath.ts';

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

/** One search fails in the first pass, and is mended by the second. */
const FAULTS: readonly FaultRule[] = [
  { match: { endpoint: 'search', type: 'Condition', patient: 1 }, when: { first: 1 }, then: { status: 503 } },
];

/** A run with every kind of work and few operations, that can be made again and again. */
export interface SmallRun {
  readonly sandbox: Sandbox;
  readonly oracle: readonly OracleLine[];
  /** A site of its own, and the same faults from the start. */
  makeSite(): Promise<Site>;
}

export async function prepareSmallRun(): Promise<SmallRun> {
  const sandbox = await startSandbox({ patients: 3 });
  return {
    sandbox,
    oracle: await linesOf(sandbox.oracle(oracleRows(TYPES))),
    makeSite: () => {
      sandbox.setFaults(FAULTS);
      return makeSite({
        sandbox,
        resources: TYPES,
        settings: {
          // One after the other, so that the n-th operation is the same at each repetition.
          'api_settings.concurrency': 1,
          'api_settings.max_attempts': 1,
          'api_settings.page_size': 5,
        },
      });
    },
  };
}
