import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, describe, expect, it } from 'vitest';
import { discoverTokenEndpoint, type SmartConfiguration } from '../../src/auth/smartConfiguration.ts';
import { createHttp } from '../../src/system/http.ts';
import { rejection } from './support.ts';

const http = createHttp({ timeoutMs: 5000 });
afterAll(() => http.close());

async function discover(answer: RequestListener, base = '/api/FHIR/R4'): Promise<SmartConfiguration> {
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    const { port } = server.address() as AddressInfo;
    return await discoverTokenEndpoint({ fhirBase: `http://127.0.0.1:${port}${base}`, http });
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

const json =
  (body: unknown, status = 200): RequestListener =>
  (_request, response) => {
    response.writeHead(status, { 'content-type': 'application/json', location: '/elsewhere' });
    response.end(typeof body === 'string' ? body : JSON.stringify(body));
  };

describe('discoverTokenEndpoint', () => {
  it.each(['/api/FHIR/R4', '/api/FHIR/R4/'])('asks below the base %s', async (base) => {
    let path: string | undefined;
    const found = await discover((request, response) => {
      path = request.url;
      json({
        token_endpoint: 'https://epic.example/oauth2/token',
        token_endpoint_auth_signing_alg_values_supported: ['RS384', 'ES384'],
        scopes_supported: ['system/*.read'],
      })(request, response);
    }, base);
    expect(path).toBe('/api/FHIR/R4/.well-known/smart-configuration');
    expect(found).toEqual({
      tokenEndpoint: 'https://epic.example/oauth2/token',
      algorithms: ['RS384', 'ES384'],
      scopes: ['system/*.read'],
    });
  });

  it('does without the optional members', async () => {
    const found = await discover(json({ token_endpoint: 'https://epic.example/t', scopes_supported: 'all' }));
    expect(found).toEqual({
      tokenEndpoint: 'https://epic.example/t',
      algorithms: undefined,
      scopes: undefined,
    });
  });

  it.each<[string, RequestListener, RegExp, string]>([
    ['404', json({}, 404), /answered 404/, 'config'],
    ['503', json({}, 503), /answered 503/, 'transient'],
    ['a redirect', json({}, 302), /redirects/, 'config'],
    ['HTML', json('<html>PATIENTNAME</html>'), /not a JSON object/, 'config'],
    ['no token_endpoint', json({ issuer: 'x' }), /no token_endpoint/, 'config'],
    ['plain http', json({ token_endpoint: 'http://epic.example/t' }), /not https/, 'config'],
    ['a relative token_endpoint', json({ token_endpoint: '/t' }), /not an absolute URL/, 'config'],
  ])('says what is wrong: %s', async (_name, answer, message, failure) => {
    const error = await rejection(discover(answer));
    expect(error).toMatchObject({ code: 'SMART_DISCOVERY_FAILED', failure });
    expect(error.message).toMatch(message);
    expect(error.message).not.toContain('PATIENTNAME');
  });

  it('lets a transport failure be one', async () => {
    const error = await rejection(discover((request) => request.socket.destroy()));
    expect(error.failure).toBe('transient');
  });
});
