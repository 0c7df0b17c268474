import { createInterface } from 'node:readline';
import { endpointProblem } from '../auth/endpoint.ts';
import type { CommandContext } from './context.ts';

/** What `init` has to know: given on the command line, or asked for at a terminal. Everything may be left open. */
export interface SiteAnswers {
  readonly clientId: string | undefined;
  readonly fhirBase: string | undefined;
  readonly rosterFile: string | undefined;
}

/** Asks for what was not given; an empty answer leaves it open. Throws the signal's reason on Ctrl-C. */
export async function askForSite(given: SiteAnswers, { signal }: CommandContext): Promise<SiteAnswers> {
  // Not in readline's terminal mode: Ctrl-C stays a signal. As lines, so that nothing typed ahead is lost.
  const input = createInterface({ input: process.stdin, terminal: false });
  const stop = (): void => input.close();
  signal.addEventListener('abort', stop, { once: true });
  const lines = input[Symbol.asyncIterator]();
  const ask = async (
    question: string,
    problemOf: (answer: string) => string | undefined,
  ): Promise<string | undefined> => {
    for (;;) {
      process.stderr.write(`${question}: `);
      const { value, done } = (await lines.next()) as IteratorResult<string, undefined>;
      signal.throwIfAborted();
      // Ctrl-D leaves the rest open.
      const text = done ? '' : value.trim();
      const problem = text === '' ? undefined : problemOf(text);
      if (problem === undefined) return text === '' ? undefined : text;
      process.stderr.write(`  ${problem}\n`);
    }
  };
  try {
    return {
      clientId:
        given.clientId ??
        (await ask('Client ID of Epic’s registration (Enter: later)', (text) =>
          /\s/.test(text) ? 'It has no blanks.' : undefined,
        )),
      fhirBase:
        given.fhirBase ?? (await ask('FHIR R4 base, https://.../api/FHIR/R4 (Enter: later)', baseProblem)),
      rosterFile:
        given.rosterFile ??
        (await ask('Roster CSV that is there already (Enter: a sample)', () => undefined)),
    };
  } finally {
    signal.removeEventListener('abort', stop);
    input.close();
  }
}

/** What is wrong with a FHIR base, or undefined. */
export function baseProblem(text: string): string | undefined {
  const problem = endpointProblem(text);
  return problem === undefined ? undefined : `It will not do: ${problem}.`;
}
