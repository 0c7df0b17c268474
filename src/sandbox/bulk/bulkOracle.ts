import { createHash } from 'node:crypto';
import type { OracleLine } from '../oracle.ts';
import type { BulkContext } from './kickoffAnswer.ts';
import { kickoffRequest } from './kickoffRequest.ts';
import { parametersOfBody } from './parametersBody.ts';
import { selectedDeletions, selectedResources } from './selection.ts';

/** A kick-off that the oracle is asked about. */
export interface OracleKickoff {
  /** `Group/ID/$export?_type=...`, relative to the FHIR base, or whole. */
  readonly url: string;
  /** The Parameters resource of a POST. */
  readonly parameters?: unknown;
  /** As with `Prefer: handling=lenient`. Default false. */
  readonly lenient?: boolean;
  /** The granted scopes. Default `system/*.read`. */
  readonly scope?: string;
}

/** What a perfect client obtains from an export that is begun now. */
export interface BulkOracle<Line> {
  readonly resources: Iterable<Line>;
  /** `Type/id` of what its `deleted` Bundles name. */
  readonly deletions: Iterable<string>;
}

const KICKOFF = /^(?:(Patient)\/|Group\/([^/]+)\/)?\$export$/;

/**
 * What a perfect client obtains from a kick-off: each type and id once, with the hash of its line. Throws for a
 * kick-off that the server refuses. Computed from the population, never through HTTP.
 */
export function bulkOracle(bulk: BulkContext, kickoff: OracleKickoff): BulkOracle<OracleLine> {
  const { context, changes } = bulk;
  const { href, pathname, searchParams } = new URL(kickoff.url, `${context.fhirBase}/`);
  const path = decodeURIComponent(pathname.slice(new URL(context.fhirBase).pathname.length + 1));
  const match = href.startsWith(`${context.fhirBase}/`) ? KICKOFF.exec(path) : null;
  if (!match) throw new Error('not the URL of an $export');
  const groupId = match[2];
  const level = groupId !== undefined ? 'group' : match[1] !== undefined ? 'patient' : 'system';
  const isPost = kickoff.parameters !== undefined;
  const body = isPost ? parametersOfBody(JSON.stringify(kickoff.parameters)) : undefined;
  if (body?.kind === 'refused') throw new Error(body.why);
  const decision = kickoffRequest(
    bulk,
    {
      level,
      groupId,
      method: isPost ? 'POST' : 'GET',
      lenient: kickoff.lenient ?? false,
      scope: kickoff.scope ?? 'system/*.read',
    },
    body?.parameters ?? [...searchParams],
  );
  const members = bulk.members(level, groupId);
  if (decision.kind === 'refused' || !members) {
    const why = decision.kind === 'refused' ? decision.issues.map((issue) => issue.diagnostics) : [];
    throw new Error(`the sandbox refuses this export: ${why.join('; ')}`);
  }
  const selection = { context, changes, members };
  const { request } = decision;
  function* lines(): Iterable<OracleLine> {
    for (const { resource, text } of selectedResources(selection, request)) {
      const sha256 = createHash('sha256').update(text).digest('hex');
      yield { type: resource.type, id: resource.id, sha256, bytes: text.length };
    }
  }
  function* deletions(): Iterable<string> {
    for (const { type, id } of selectedDeletions(selection, request)) yield `${type}/${id}`;
  }
  return { resources: lines(), deletions: deletions() };
}
