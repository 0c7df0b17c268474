import { routesOf, type Operation } from './api/operation.ts';
import type { Route } from './exchange.ts';
import { exampleOperations } from './gateway/examples.ts';
import { fhirOperations } from './gateway/fhirOperations.ts';
import { rootOperations } from './gateway/rootOperations.ts';
import { operationsOfSeveral } from './gateway/several.ts';
import type { ConsoleParts } from './parts.ts';
import type { Site } from './site.ts';

/** Every operation of the gateway, in the order in which they are documented. */
export function gatewayOperations(site: Site, parts: ConsoleParts): readonly Operation[] {
  const deps = { connections: parts.connections, audit: parts.audit, clock: site.clock };
  return [
    ...rootOperations(site, { audit: parts.audit, openTokens: (job) => parts.openTokens(job) }),
    ...exampleOperations(),
    ...operationsOfSeveral(site, deps),
    ...fhirOperations(site, deps),
  ];
}

/** The read-only gateway to the FHIR server: `/auth/token`, `/jwks`, `/health`, `/config/info` and `/fhir/...`. */
export function gatewayRoutes(site: Site, parts: ConsoleParts): readonly Route[] {
  return routesOf(gatewayOperations(site, parts));
}
