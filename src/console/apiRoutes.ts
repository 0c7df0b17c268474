import { consoleOperations } from './api/consoleOperations.ts';
import { openApiDocument } from './api/openApi.ts';
import { operationsIn, routesOf, type Operation } from './api/operation.ts';
import { requestOperations } from './api/requestOperations.ts';
import { apiPageRoutes } from './api/apiPage.ts';
import { jsonAnswer, type Route } from './exchange.ts';
import { gatewayOperations } from './gatewayRoutes.ts';
import type { ConsoleParts } from './parts.ts';
import type { Site } from './site.ts';

/** The operations under `/api/v1`, the OpenAPI document of them and of the gateway's among them. */
function apiOperations(site: Site, parts: ConsoleParts): readonly Operation[] {
  const described = operationsIn('Console')(
    'getOpenApi',
    '/api/v1/openapi.json',
    'OpenApi',
    'This API and the gateway, as OpenAPI 3.1',
    {
      answer: (_input, { url }) => {
        // Over TLS the cookie has the prefix that no other host can set.
        const cookie = `${url.protocol === 'https:' ? '__Host-' : ''}fhir-rounds`;
        return jsonAnswer(
          openApiDocument(everyOperation(site, parts), { version: site.programVersion, cookie }),
        );
      },
    },
  );
  return [...consoleOperations(site), ...requestOperations(site), described];
}

/** The whole table: what the document describes and the page offers. */
export function everyOperation(site: Site, parts: ConsoleParts): readonly Operation[] {
  return [...apiOperations(site, parts), ...gatewayOperations(site, parts)];
}

/** The API under `/api/v1`, and the page to try it and the gateway out. */
export function apiRoutes(site: Site, parts: ConsoleParts): readonly Route[] {
  return [...routesOf(apiOperations(site, parts)), ...apiPageRoutes(site, everyOperation(site, parts))];
}
