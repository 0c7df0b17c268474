import { OAUTH_ERRORS } from '../auth/tokenAnswer.ts';
import { didYouMean } from '../config/nearest.ts';
import { ERROR_CODES, RoundsError, type ErrorCode, type FailureClass } from '../errors.ts';
import { EPIC_CODES, ERROR_OF_KIND } from '../fhir/epicCodes.ts';
import { CAUSES } from './causes.ts';
import { EXIT, type CommandContext } from './context.ts';
import { EPIC_KINDS, EPIC_REMEDIES, OAUTH_ERRORS_EXPLAINED } from '../views/foreignCodes.ts';

/** One code, whoever's it is. */
export interface ExplainedCode {
  readonly code: string;
  readonly of: 'fhir-rounds' | 'Epic' | 'OAuth';
  readonly cause: string;
  readonly remedy: string;
  /** The code of ours that it becomes; for one of ours, undefined. */
  readonly becomes: ErrorCode | undefined;
  readonly failure: FailureClass | undefined;
}

const CLASSES: Readonly<Record<FailureClass, string>> = {
  transient: 'passes by itself; asked again by the program',
  permanent: 'final; asking again changes nothing',
  denied: 'refused by the server; a person has to act there',
  config: 'wrong on this side; a person has to act here',
};

/** Every code that can be explained: ours, Epic's and OAuth's, in this order. */
export function explainedCodes(): readonly ExplainedCode[] {
  return [...ourCodes(), ...epicCodes(), ...oauthCodes()];
}

function* ourCodes(): Generator<ExplainedCode> {
  for (const [code, { failure, hint }] of Object.entries(ERROR_CODES)) {
    yield {
      code,
      of: 'fhir-rounds',
      cause: CAUSES[code as ErrorCode],
      remedy: hint,
      becomes: undefined,
      failure,
    };
  }
}

function* epicCodes(): Generator<ExplainedCode> {
  for (const [code, { kind, meaning }] of EPIC_CODES) {
    const { cause, remedy } = EPIC_KINDS[kind];
    const becomes = ERROR_OF_KIND[kind];
    yield {
      code,
      of: 'Epic',
      cause: `${meaning.charAt(0).toUpperCase()}${meaning.slice(1)}. ${cause}`,
      remedy: EPIC_REMEDIES[code] ?? remedy,
      becomes,
      failure: becomes && ERROR_CODES[becomes].failure,
    };
  }
}

function* oauthCodes(): Generator<ExplainedCode> {
  for (const code of OAUTH_ERRORS) {
    const becomes = code === 'invalid_client' ? 'TOKEN_INVALID_CLIENT' : 'TOKEN_REFUSED';
    const { cause, remedy } = OAUTH_ERRORS_EXPLAINED[code];
    yield { code, of: 'OAuth', cause, remedy, becomes, failure: ERROR_CODES[becomes].failure };
  }
}

/** `explain [CODE]`: cause and remedy of one code, or the list of all. Throws USAGE for an unknown one. */
export function explainCommand(code: string | undefined, context: CommandContext): number {
  const all = explainedCodes();
  if (code === undefined) {
    if (context.json) context.print(JSON.stringify(all));
    else
      for (const one of all)
        context.print(`${one.code.padEnd(31)}${one.of.padEnd(13)}${firstSentence(one.cause)}`);
    return EXIT.complete;
  }
  const found = all.filter((one) => one.code.toLowerCase() === code.toLowerCase());
  if (found.length === 0) {
    const nearest = didYouMean(
      code.toUpperCase(),
      all.map((one) => one.code),
    );
    throw new RoundsError('USAGE', `there is no code ${code}${nearest}`, {
      hint: '`fhir-rounds explain` lists all codes; an HTTP status alone has none.',
    });
  }
  if (context.json) context.print(JSON.stringify(found[0]));
  else context.print(linesOf(found[0]!).join('\n'));
  return EXIT.complete;
}

function linesOf({ code, of, cause, remedy, becomes, failure }: ExplainedCode): string[] {
  return [
    `${code} (${of})`,
    `cause:  ${cause}`,
    `do:     ${remedy}`,
    ...(failure === undefined ? [] : [`class:  ${failure}: ${CLASSES[failure]}`]),
    ...(becomes === undefined
      ? []
      : [`stands in reports as ${becomes}; fhir-rounds explain ${becomes} says more`]),
  ];
}

function firstSentence(text: string): string {
  return /^.*?[.;:](?=\s|$)/.exec(text)?.[0].replace(/[;:]$/, '.') ?? text;
}
