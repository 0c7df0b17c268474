import type { FailureClass } from '../errors.ts';
import { codeWords, count, countOf, oneLine, unitsOf } from './format.ts';
import type { CauseSummary, RunSummary } from './summary.ts';

/** How a run went: the part of a report that is read when nothing else is. */
export interface Verdict {
  readonly subject: string;
  /** `OK`, `RECOVERED`, `PARTIAL`, `FAILED`, `ABANDONED` */
  readonly word: string;
  readonly tone: 'ok' | 'partial' | 'failed' | 'abandoned';
  readonly headline: string;
  /** What happened, whether to worry, what to do next: one sentence or two each. */
  readonly verdict: readonly string[];
  /** The command that goes on from here, where there is one. */
  readonly command: { readonly purpose: string; readonly line: string } | undefined;
}

/** Decides the verdict; the subject begins with it, so that a list of mails shows it. */
export function verdictOf(summary: RunSummary): Verdict {
  const { jobName, runId, searches, recovered, method } = summary;
  const subject = (verdict: string, rest: string) => `${verdict}${rest} [${runId}]`;
  const amount =
    countOf(summary.records, 'resource') +
    (summary.patients > 0 || summary.method === 'crawl' ? ` of ${countOf(summary.patients, 'patient')}` : '');
  const marks = summary.trend?.marks.length ?? 0;
  const counts = [
    amount,
    ...(searches.gap === 0 ? [] : [countOf(searches.gap, 'gap')]),
    ...(marks === 0 ? [] : [`${countOf(marks, 'thing')} to look at`]),
  ].join(', ');
  switch (summary.status) {
    case 'complete': {
      const word = recovered === undefined ? 'OK' : 'RECOVERED';
      return {
        subject: subject(word, ` ${jobName}: ${counts}`),
        word,
        tone: 'ok',
        headline:
          marks === 0
            ? amount
            : `${countOf(summary.records, 'resource')}, ${countOf(marks, 'thing')} to look at`,
        command: undefined,
        verdict: [
          ...(recovered === undefined
            ? []
            : [`All is well again: the run before, ${recovered.runId}, was ${recovered.status}.`]),
          `${allUnits(searches.planned, method)} came to an end, and the export is published.`,
          ...(searches.gap === 0
            ? []
            : [
                `${unitsOf(searches.gap, method)} ended with a gap: the server withheld or refused a part, and no retry can mend that. What came is kept.`,
                ...nextSteps(summary.causes),
              ]),
          ...worry(summary),
        ],
      };
    }
    case 'partial': {
      const what = partialCause(summary);
      return {
        subject: subject('PARTIAL', ` ${what}, ${jobName}: ${counts}`),
        word: 'PARTIAL',
        tone: 'partial',
        headline: capital(what),
        command:
          searches.failed === 0
            ? undefined
            : {
                purpose: 'To ask again for what failed:',
                line: `fhir-rounds run ${jobName} --retry-failed`,
              },
        verdict: [
          `The export is published (${amount}), but it is not whole.`,
          'The last complete export stays the current one; use this one only where what is missing does not matter.',
          ...nextSteps(summary.causes),
        ],
      };
    }
    case 'failed': {
      const failure = summary.failure;
      return {
        subject: subject(
          'FAILED',
          `: ${failure === undefined ? 'no search came to an end' : codeWords(failure.code)}, ${jobName}` +
            (searches.planned === 0 ? '' : `: none of ${unitsOf(searches.planned, method)}`),
        ),
        word: 'FAILED',
        tone: 'failed',
        headline: failure?.code ?? 'No search came to an end',
        command: undefined,
        verdict: [
          `Nothing was published${failure === undefined ? '.' : `: ${sentence(oneLine(failure.message))}`}`,
          'Earlier exports are untouched.',
          ...(failure === undefined ? nextSteps(summary.causes) : [oneLine(failure.hint)]),
        ],
      };
    }
    case 'abandoned':
      return {
        subject: subject('ABANDONED', ` ${jobName}: interrupted and not resumed`),
        word: 'ABANDONED',
        tone: 'abandoned',
        headline: 'Interrupted and not resumed',
        command: { purpose: 'To start it now:', line: `fhir-rounds run ${jobName} --fresh` },
        verdict: [
          'The run was interrupted and was closed before it could be resumed. Nothing of it was published.',
          ...(summary.failure === undefined ? [] : [sentence(capital(oneLine(summary.failure.message)))]),
          'Earlier exports are untouched; the next run starts afresh.',
        ],
      };
  }
}

/** Whether a complete run is nothing to think about. */
function worry({ searches, trend }: RunSummary): string[] {
  const marks = trend?.marks ?? [];
  if (marks.some(({ kind }) => kind === 'records' || kind === 'gaps')) {
    return ['It is unlike the runs before, though: what is marked wants a look.'];
  }
  if (marks.length > 0) return ['What is marked needs a person soon.'];
  return searches.gap === 0 ? ['Nothing to worry about, and nothing to do.'] : [];
}

function partialCause(summary: RunSummary): string {
  const { searches } = summary;
  if (searches.failed > 0) {
    return `${count(searches.failed)} of ${unitsOf(searches.planned, summary.method)} failed`;
  }
  const refused = summary.types.filter(
    (t) => t.searches.planned > 0 && t.searches.gap === t.searches.planned,
  );
  if (refused.length > 0) {
    return `${count(refused.length)} of ${countOf(summary.types.length, 'type')} refused for every patient`;
  }
  return `${unitsOf(searches.gap, summary.method)} with gaps`;
}

/** One sentence for the failures and one for the gaps, by the gravest class of each. */
function nextSteps(causes: readonly CauseSummary[]): string[] {
  const classesOf = (outcome: CauseSummary['outcome']) =>
    new Set<FailureClass>(causes.filter((c) => c.outcome === outcome).map((c) => c.failure));
  const steps: string[] = [];
  const failed = classesOf('failed');
  if (failed.has('config') || failed.has('denied')) {
    steps.push('A person has to act before what failed can succeed: the hints below say where.');
  } else if (failed.size > 0) {
    steps.push('A retry may mend the failures without you; look into them if the next run has them too.');
  }
  const gaps = classesOf('gap');
  if (gaps.has('config') || gaps.has('denied')) {
    steps.push('If the data behind the gaps is wanted, a person has to act: the hints below say where.');
  } else if (gaps.size > 0) {
    steps.push('Look at the gaps below once; a retry alone changes nothing about them.');
  }
  return steps;
}

function allUnits(planned: number, method: RunSummary['method']): string {
  if (planned === 0) return 'The run';
  if (planned === 1) return method === 'bulk' ? 'The one file' : 'The one search';
  return `All ${unitsOf(planned, method)}`;
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function sentence(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}
