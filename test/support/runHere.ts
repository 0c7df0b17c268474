import { runCommand } from '../../src/commands/run.ts';
import type { Site } from './site.ts';

/**
 * `fhir-rounds run [--retry-failed] [--fresh]` in the test's own process, for what needs hundreds of runs: starting a process
 * takes longer than the run, and nothing of the program outlives a run. Returns the exit code; throws the run's error.
 */
export function runHere(site: Site, { retryFailed = false, fresh = false } = {}): Promise<number> {
  // As the program's entry does.
  process.umask(0o077);
  return runCommand(
    { jobName: undefined, retryFailed, fresh, noMail: false, acceptRoster: false },
    {
      configFile: site.configFile,
      env: {},
      json: false,
      quiet: true,
      signal: new AbortController().signal,
      print: () => undefined,
      note: () => undefined,
      noteEvent: () => undefined,
      printsToTerminal: false,
      terminal: undefined,
      useColour: false,
    },
  );
}
