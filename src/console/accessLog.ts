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
    const patientId = route.patientId?.(ask);
    const { runId, source = runId, type } = ask.params;
    await site.write(({ audit }) =>
      audit.append({
        event: eventOf(route.path, route.method),
        atMs: site.clock.now(),
        runId: source,
        session: session.name,
        route: `${route.method} ${route.path}`,
        answered: status,
        type,
        patient: patientId === undefined ? undefined : hashPatient(patientId),
      }),
    );
  };
}

function eventOf(path: string, method: string): AuditEvent {
  if (path === '/login') return 'console.opened';
  return method === 'GET' ? 'console.read' : 'console.asked';
}
