import { asRoundsError, RoundsError } from '../../errors.ts';
import { htmlAnswer, type Answer, type Ask, type Route } from '../exchange.ts';
import { environmentBadge } from '../gateway/environment.ts';
import { html } from '../html.ts';
import { page } from '../page.ts';
import type { Site } from '../site.ts';
import { formOf, listOf, OTHERS_FIELD, type Filled } from './apiForm.ts';
import { resultOf, type Tried } from './apiResult.ts';
import { readInput } from './input.ts';
import { pathOf, type Operation } from './operation.ts';

/**
 * `/api`: the page to try the API and the gateway out, made from the same table as they are. A form is sent to the console,
 * which asks the operation itself and shows what came: so it works without script, and no patient stands in a browser's
 * history.
 */
export function apiPageRoutes(site: Site, operations: readonly Operation[]): readonly Route[] {
  return [
    {
      method: 'GET',
      path: '/api',
      answer: (ask) => {
        const operation = chosen(operations, ask.url.searchParams.get('op'));
        return show(ask, site, operations, operation, new Map(), undefined);
      },
    },
    {
      method: 'POST',
      path: '/api',
      answer: async (ask) => {
        const form = await ask.form();
        const operation = chosen(operations, form.get('op'));
        const filled = filledIn(operation, form);
        return show(ask, site, operations, operation, filled, await tryOut(operation, filled, ask, site));
      },
    },
  ];
}

function chosen(operations: readonly Operation[], key: string | null): Operation {
  const operation = key === null ? operations[0] : operations.find((one) => one.key === key);
  if (operation !== undefined) return operation;
  throw new RoundsError('CONSOLE_NOT_FOUND', 'there is no such operation', {
    hint: 'Choose one on the page API.',
  });
}

/** The form's fields that are the operation's. A box that is not ticked is not sent. */
function filledIn(operation: Operation, form: URLSearchParams): Filled {
  const names = [
    ...operation.parameters.map(({ name }) => name),
    ...(operation.takesOthers ? [OTHERS_FIELD] : []),
  ];
  return new Map(names.flatMap((name) => [[name, (form.get(`p-${name}`) ?? '').trim()] as const]));
}

/** Asks the operation as a program would. What it throws is a part of what is shown. */
async function tryOut(operation: Operation, filled: Filled, ask: Ask, { clock }: Site): Promise<Tried> {
  const { method, parameters } = operation;
  const others = new URLSearchParams(filled.get(OTHERS_FIELD) ?? '');
  const own = [...filled].filter(([name]) => name !== OTHERS_FIELD);
  const path = pathOf(operation, [...own, ...others]);
  const url = new URL(path, ask.url.origin);
  const params = Object.fromEntries(
    parameters.filter((one) => one.in === 'path').map(({ name }) => [name, filled.get(name) ?? '']),
  );
  const asked: Ask = { ...ask, method, url, params };
  const startMs = clock.monotonicMs();
  let outcome: Answer | RoundsError;
  try {
    outcome = await operation.answer(readInput(operation, asked), asked);
  } catch (thrown) {
    ask.signal.throwIfAborted();
    outcome = asRoundsError(thrown);
    if (outcome.code === 'INTERNAL') throw thrown;
  }
  return { method, path, origin: ask.url.origin, tookMs: clock.monotonicMs() - startMs, outcome };
}

async function show(
  ask: Ask,
  site: Site,
  operations: readonly Operation[],
  operation: Operation,
  filled: Filled,
  tried: Tried | undefined,
): Promise<Answer> {
  const { jobs } = site.config();
  return htmlAnswer(
    page(ask, {
      title: 'API',
      place: 'api',
      aside: html`<p class="badges">${jobs.map((job) => environmentBadge(job))}</p>`,
      main: html`<p class="lead">
          Versioned JSON under <code>/api/v1</code>, and a read-only gateway to the FHIR server. Described by
          <a href="/api/v1/openapi.json">OpenAPI 3.1</a>.
        </p>
        <div class="api">
          ${listOf(operations, operation)}
          <div class="api-one">
            ${formOf(
              ask,
              operation,
              filled,
              jobs.map(({ jobName }) => jobName),
            )}
            ${tried && (await resultOf(tried))}
          </div>
        </div>`,
    }),
  );
}
