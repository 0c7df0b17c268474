import type { Input } from '../api/input.ts';
import { operationsIn, type Operation } from '../api/operation.ts';
import type { Ask } from '../exchange.ts';
import type { Site } from '../site.ts';
import { FHIR_ROWS } from './fhirTable.ts';
import { askServer, type GatewayDeps } from './gateway.ts';
import { demandOpen, jobNamed, type Use } from './guard.ts';
import { patientAsked } from './question.ts';

/** The operations of the table: each asks its one question. */
export function fhirOperations(site: Site, deps: GatewayDeps): readonly Operation[] {
  const operation = operationsIn('FHIR server');
  return FHIR_ROWS.map(({ key, path, summary, question, ...rest }) =>
    operation(key, path, /^read/.test(key) ? 'Resource' : 'Searchset', summary, {
      ...rest,
      patientId: (input) => patientAsked(question(input)),
      answer: (input, asked) => askServer(deps, useOf(site, input, asked, path), question(input), asked),
    }),
  );
}

/** Throws CONSOLE_ASK_INVALID, and CONSOLE_UNAVAILABLE where the gateway is off. */
export function useOf(site: Site, input: Input, { session, method }: Ask, path: string): Use {
  const job = jobNamed(site, input.text('job'));
  return { job, mode: demandOpen(job), session: session?.name ?? '', route: `${method} ${path}` };
}
