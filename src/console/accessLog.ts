import type { AuditEvent } from '../run/audit.ts';
import type { Access } from './server.ts';
import type { Site } from './site.ts';

/**
 * Writes every request of a session into the audit file: who, when, which page, of which run and type, whose record.
 * What only looks at counts is there, too, so that nobody has to know which page shows what.
 */
export function accessLog(
  site: Site,
  hashPatient: (patientId: string) => string,
): (access: Access) => Promise<void> {
  return async ({ session, route, ask, status }) => {
    const patientId = patientOf(route, ask);
    const { runId, source = runId, type } = ask.params;
    await site.write(({ audit }) =>
      audit.append({
        event: eventOf(route.path, route.method),
        atMs: site.clock.now(),
        runId: named(source),
        session: session.name,
        route: `${route.method} ${route.path}`,
        answered: status,
        type: named(type),
        patient: patientId === undefined ? undefined : hashPatient(patientId),
      }),
    );
  };
}

/** Undefined also where the request is none that can be read: then nobody's record was shown. */
function patientOf({ patientId }: Access['route'], ask: Access['ask']): string | undefined {
  try {
    return patientId?.(ask);
  } catch {
    return undefined;
  }
}

/** What an address names as a run or a type may be anything, and stands in the file only where it could be one. */
function named(text: string | undefined): string | undefined {
  return text !== undefined && /^[A-Za-z0-9-]{1,64}$/.test(text) ? text : undefined;
}

function eventOf(path: string, method: string): AuditEvent {
  if (path === '/login') return 'console.opened';
  return method === 'GET' ? 'console.read' : 'console.asked';
}
