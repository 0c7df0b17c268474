import { styleOf, bundleText, type BundleDraft, type BundleEntry } from './bundles.ts';
import { FHIR_JSON, type Answer, type Exchange } from './exchange.ts';
import type { FaultAction } from './faults.ts';
import { styledJson } from './jsonText.ts';
import { issueOf, outcomeText, type OutcomeIssue } from './outcomes.ts';
import { valuesAt } from './parameterMatch.ts';
import { pageSpans, type PagingSessions } from './paging.ts';
import { hashText } from './population/dice.ts';
import type { StoredResource } from './population/types.ts';
import { spoiledDraft } from './spoiledBundles.ts';
import { scopeAllows } from './scopes.ts';
import {
  matchesOf,
  planSearch,
  standingRefusal,
  type Parameters,
  type SearchContext,
  type SearchPlan,
} from './search.ts';

/** Reads and searches, after routing and before transport. */
export interface FhirHandlers {
  read(exchange: Exchange, type: string, id: string): Answer;
  search(exchange: Exchange, type: string, fault: FaultAction | undefined): Answer;
}

export function outcomeAnswer(
  status: number,
  issues: readonly OutcomeIssue[],
  headers?: Record<string, string>,
): Answer {
  const body = outcomeText(issues);
  return { status, contentType: FHIR_JSON, body, ...(headers === undefined ? {} : { headers }) };
}

/** The 401 for a request without a valid token. */
export function loginAnswer(exchange: Exchange): Answer {
  const challenge =
    exchange.header('authorization') === undefined ? 'Bearer' : 'Bearer error="invalid_token"';
  return outcomeAnswer(401, [{ ...issueOf('4118'), code: 'login' }], { 'WWW-Authenticate': challenge });
}

/** 401 without a valid token, 403 where its scope does not reach. Undefined: allowed. */
function denied(exchange: Exchange, type: string, interaction: 'read' | 'search'): Answer | undefined {
  if (!exchange.grant) return loginAnswer(exchange);
  if (scopeAllows(exchange.grant.scope, type, interaction)) return undefined;
  const challenge = 'Bearer error="insufficient_scope"';
  return outcomeAnswer(403, [issueOf('4118')], { 'WWW-Authenticate': challenge });
}

/** Whether FHIR's own form is asked for, by what is wanted most (RFC 9110, 12.5.1): also where nothing is said. */
function wantsJson(exchange: Exchange): boolean {
  const wanted = (exchange.header('accept') ?? '*/*').split(',').map((range) => {
    const [type = '', ...parameters] = range.split(';');
    const [, weight = '1'] = parameters.map((text) => /^\s*q=([\d.]+)\s*$/i.exec(text)).find(Boolean) ?? [];
    return { type, weight: Number(weight) };
  });
  // Sorting keeps the order of what is wanted alike.
  const [most] = wanted.toSorted((a, b) => b.weight - a.weight);
  return /json|\*\/\*/i.test(most?.type ?? '');
}

/** A Binary's content under its own type (FHIR R4, Binary, "Serving Binary Resources using the RESTful API"). */
function contentAnswer({ text }: StoredResource): Answer {
  const { contentType, data } = JSON.parse(text.toString('utf8')) as { contentType?: string; data?: string };
  return {
    status: 200,
    contentType: contentType ?? 'application/octet-stream',
    body: Buffer.from(data ?? '', 'base64'),
  };
}

export function fhirHandlers(context: SearchContext, sessions: PagingSessions, seed: number): FhirHandlers {
  const { fhirBase, population, rules } = context;
  const fullUrl = (resource: StoredResource) => `${fhirBase}/${resource.type}/${resource.id}`;
  const entryOf = (resource: StoredResource, mode: 'match' | 'include'): BundleEntry => ({
    fullUrl: fullUrl(resource),
    text: resource.text,
    mode,
  });

  /** What a page's matches bring along: `_include` targets and the Provenance about them, each once. */
  function included(plan: SearchPlan, matches: readonly StoredResource[], scope: string): BundleEntry[] {
    const found = new Map<string, BundleEntry>();
    const add = (resource: StoredResource) => {
      if (scopeAllows(scope, resource.type, 'search'))
        found.set(fullUrl(resource), entryOf(resource, 'include'));
    };
    for (const match of matches) {
      for (const rule of plan.includes) {
        const parsed: unknown = JSON.parse(match.text.toString('utf8'));
        for (const path of rule.paths) {
          for (const reference of valuesAt(parsed, [...path.split('.'), 'reference'])) {
            const [type, id] = typeof reference === 'string' ? reference.split('/') : [];
            const target = type !== undefined && id !== undefined ? population.read(type, id) : undefined;
            if (target) add(target);
          }
        }
      }
      if (plan.withProvenance) population.provenanceOf(match).forEach(add);
    }
    for (const match of matches) found.delete(fullUrl(match));
    return [...found.values()];
  }

  function pageAnswer(
    exchange: Exchange,
    plan: SearchPlan,
    page: number,
    sessionId: string | undefined,
    parameters: Parameters,
    fault: FaultAction | undefined,
  ): Answer {
    const matches = matchesOf(context, plan);
    const quirkKey = plan.patientId === undefined ? undefined : `${seed} ${plan.type} ${plan.patientId}`;
    const spans = pageSpans(matches.length, plan.pageSize, quirkKey);
    const span = spans[page - 1];
    const shown = span === undefined ? [] : matches.slice(span.from, span.to);
    const issues = page > 1 ? [] : [...(matches.length === 0 ? [issueOf('4101')] : []), ...plan.warnings];
    const scope = exchange.grant?.scope ?? '';
    if (page === 1 && plan.withProvenance && !scopeAllows(scope, 'Provenance', 'search')) {
      issues.push({ ...issueOf('4118', 'Provenance is not among the granted scopes.'), severity: 'warning' });
    }
    const outcome: BundleEntry = { fullUrl: fhirBase, text: outcomeText(issues), mode: 'outcome' };
    const open = () => sessionId ?? sessions.open({ type: plan.type, parameters });
    let opened: string | undefined;
    const pageUrl = (number: number) => {
      opened ??= open();
      return `${fhirBase}/${plan.type}?sessionID=${opened}&page=${number}`;
    };
    const selfUrl = exchange.url;
    const draft: BundleDraft = {
      total: matches.length,
      selfUrl,
      nextUrl: page < spans.length ? pageUrl(page + 1) : undefined,
      entries: [
        ...shown.map((resource) => entryOf(resource, 'match')),
        ...included(plan, shown, scope),
        ...(issues.length > 0 ? [outcome] : []),
      ],
      variant: hashText(`${plan.type} ${plan.patientId ?? ''} ${page} ${matches.length}`),
    };
    const sent = fault ? spoiledDraft(draft, fault, { context, plan, page, pageUrl }) : draft;
    return { status: 200, contentType: FHIR_JSON, body: styledJson(bundleText(sent), styleOf(sent.variant)) };
  }

  return {
    read(exchange, type, id) {
      const refused = denied(exchange, type, 'read');
      if (refused) return refused;
      if (!rules.has(type)) return outcomeAnswer(404, [{ ...issueOf('59100'), severity: 'fatal' }]);
      const resource = population.read(type, id);
      for (const patient of type === 'Patient' ? [id] : (resource?.patients ?? [])) {
        const standing = standingRefusal(population, patient);
        if (standing) return outcomeAnswer(standing.status, standing.issues);
      }
      if (!resource) return outcomeAnswer(404, [issueOf('4102')]);
      if (type === 'Binary' && !wantsJson(exchange)) return contentAnswer(resource);
      return {
        status: 200,
        contentType: FHIR_JSON,
        body: styledJson(resource.text, styleOf(hashText(`${type}/${id}`))),
      };
    },
    search(exchange, type, fault) {
      const refused = denied(exchange, type, 'search');
      if (refused) return refused;
      const strict = /\bhandling\s*=\s*strict\b/i.test(exchange.header('prefer') ?? '');
      const sessionId = exchange.query.find(([name]) => name === 'sessionID')?.[1];
      if (sessionId === undefined) {
        const decision = planSearch(context, type, exchange.query, strict);
        if (decision.kind === 'refused')
          return outcomeAnswer(decision.refusal.status, decision.refusal.issues);
        return pageAnswer(exchange, decision.plan, 1, undefined, exchange.query, fault);
      }
      const page = Number(exchange.query.find(([name]) => name === 'page')?.[1]);
      const session = sessions.find(sessionId);
      if (session?.type !== type || !Number.isInteger(page) || page < 1) {
        return outcomeAnswer(400, [issueOf('4113')]);
      }
      const decision = planSearch(context, type, session.parameters, false);
      if (decision.kind === 'refused') return outcomeAnswer(decision.refusal.status, decision.refusal.issues);
      return pageAnswer(exchange, decision.plan, page, sessionId, session.parameters, fault);
    },
  };
}
