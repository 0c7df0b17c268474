import { describe, expect, it } from 'vitest';
import { RoundsError } from '../../src/errors.ts';
import { createUrlPolicy, isLoopback, secureUrl } from '../../src/fhir/urlPolicy.ts';

const BASE = 'https://fhir.example/interconnect/api/FHIR/R4';
const CURRENT = `${BASE}/Observation?patient=p1&category=laboratory`;
const policy = createUrlPolicy({
  fhirBase: BASE,
  tokenEndpoint: 'https://login.example/oauth2/token',
  fileOrigins: ['https://files.example'],
});
const refusalOf = (act: () => unknown): RoundsError => {
  try {
    act();
  } catch (error) {
    if (error instanceof RoundsError) return error;
    throw error;
  }
  throw new Error('nothing was refused');
};

/** None of these may be requested as a next link. */
const HOSTILE = [
  // Other hosts, ports and schemes
  'https://evil.example/interconnect/api/FHIR/R4/Observation',
  'https://fhir.example.evil.example/interconnect/api/FHIR/R4/Observation',
  'https://evilfhir.example/interconnect/api/FHIR/R4/Observation',
  'https://example/interconnect/api/FHIR/R4/Observation',
  'http://fhir.example/interconnect/api/FHIR/R4/Observation',
  'https://fhir.example:8443/interconnect/api/FHIR/R4/Observation',
  'https://fhir.example:80/interconnect/api/FHIR/R4/Observation',
  'https://fhir.example./interconnect/api/FHIR/R4/Observation',
  'http://127.0.0.1/interconnect/api/FHIR/R4/Observation',
  'http://localhost/interconnect/api/FHIR/R4/Observation',
  'http://[::1]/interconnect/api/FHIR/R4/Observation',
  'http://169.254.169.254/latest/meta-data/',
  'https://127.0.0.1/interconnect/api/FHIR/R4/Observation',
  'ftp://fhir.example/interconnect/api/FHIR/R4/Observation',
  'file:///etc/passwd',
  'javascript:alert(1)',
  'data:application/json,{}',
  'wss://fhir.example/interconnect/api/FHIR/R4/Observation',
  'blob:https://fhir.example/interconnect/api/FHIR/R4/Observation',
  // Protocol-relative and half-absolute forms
  '//evil.example/interconnect/api/FHIR/R4/Observation',
  '///evil.example/interconnect/api/FHIR/R4/Observation',
  'https:evil.example/Observation',
  'https:/evil.example/Observation',
  'https:///evil.example/Observation',
  'https:////fhir.example/interconnect/api/FHIR/R4/Observation',
  'https://',
  '//',
  // Users that look like hosts
  'https://fhir.example@evil.example/interconnect/api/FHIR/R4/Observation',
  'https://user:pass@fhir.example/interconnect/api/FHIR/R4/Observation',
  'https://user@fhir.example/interconnect/api/FHIR/R4/Observation',
  'https://@fhir.example/interconnect/api/FHIR/R4/Observation',
  '//user@fhir.example/interconnect/api/FHIR/R4/Observation',
  'https://fhir.example:443@evil.example/interconnect/api/FHIR/R4/Observation',
  // Backslashes, blanks and control characters, which parsers read in several ways
  'https:\\\\evil.example\\interconnect\\api\\FHIR\\R4',
  'https://fhir.example\\@evil.example/interconnect/api/FHIR/R4/Observation',
  '/\\evil.example/Observation',
  '\\\\evil.example\\Observation',
  ' https://fhir.example/interconnect/api/FHIR/R4/Observation',
  'https://fhir.example/interconnect/api/FHIR/R4/Observation ',
  'ht\ntps://evil.example/',
  'https://fhir.example/interconnect/api/FHIR/R4/Obser\tvation',
  'https://fhir.example/interconnect/api/FHIR/R4/Observation?a=b\r\nX-Evil: 1',
  'https://fhir.example/interconnect/api/FHIR/R4/\u0000',
  'https://fhir.example/interconnect/api/FHIR/R4/Observation?a=\u2028',
  // Hosts in disguise
  'https://fhir%2eexample/interconnect/api/FHIR/R4/Observation',
  'https://evil.example%2f@fhir.example/interconnect/api/FHIR/R4/Observation',
  'https://ｆhir.example/interconnect/api/FHIR/R4/Observation',
  'https://fhir。example/interconnect/api/FHIR/R4/Observation',
  'https://fhír.example/interconnect/api/FHIR/R4/Observation',
  'https://fhir.example#@evil.example/interconnect/api/FHIR/R4/Observation',
  'https://fhir.example?@evil.example/interconnect/api/FHIR/R4/Observation',
  'https://[::1]:99999/interconnect/api/FHIR/R4',
  'https://[fe80::1%25eth0]/interconnect/api/FHIR/R4',
  // Out of the base's path
  'https://fhir.example/',
  'https://fhir.example/interconnect/api/FHIR/R4x/Observation',
  'https://fhir.example/interconnect/api/FHIR/STU3/Observation',
  'https://fhir.example/interconnect/api/fhir/r4/Observation',
  'https://fhir.example/interconnect/api/FHIR/R4/../STU3/Observation',
  'https://fhir.example/interconnect/api/FHIR/R4/Observation/../../BulkRequest/1',
  'https://fhir.example/interconnect/api/FHIR/R4/%2e%2e/STU3',
  'https://fhir.example/interconnect/api/FHIR/R4/.%2E/STU3',
  'https://fhir.example/interconnect/api/FHIR/R4/..%2fSTU3',
  'https://fhir.example/interconnect/api/FHIR/R4%2fObservation',
  'https://fhir.example/interconnect/api/FHIR/R4/..%5cSTU3',
  'https://fhir.example/interconnect/api/FHIR/R4/%252e%252e/STU3',
  'https://fhir.example/interconnect/api/FHIR/R4/..;/STU3',
  'https://fhir.example/interconnect/api/FHIR/R4/%00',
  'https://fhir.example//interconnect/api/FHIR/R4/Observation',
  '/oauth2/token',
  '../../../admin',
  // Nothing at all, or far too much
  '',
  `https://fhir.example/interconnect/api/FHIR/R4/Observation?a=${'x'.repeat(70_000)}`,
];

describe('next', () => {
  it.each(HOSTILE.map((url) => [url.slice(0, 90), url]))('refuses %j', (_short, url) => {
    const error = refusalOf(() => policy.next(url, CURRENT));
    expect(error.code).toBe('URL_REFUSED');
    expect(error.message).not.toMatch(/interconnect|passwd|Observation|X-Evil|pass@/);
  });

  it.each([
    [`${BASE}/Observation?sessionID=1%2F2&page=2`, `${BASE}/Observation?sessionID=1%2F2&page=2`],
    [`${BASE}?_getpages=a-b&_getpagesoffset=20`, `${BASE}?_getpages=a-b&_getpagesoffset=20`],
    ['HTTPS://FHIR.Example:443/interconnect/api/FHIR/R4/Observation?a=b|c,d', `${BASE}/Observation?a=b|c,d`],
    ['?page=2', `${BASE}/Observation?page=2`],
    ['Observation?page=2', `${BASE}/Observation?page=2`],
    ['/interconnect/api/FHIR/R4/Observation?page=2', `${BASE}/Observation?page=2`],
    ['//fhir.example/interconnect/api/FHIR/R4/Observation', `${BASE}/Observation`],
    ['../R4/Observation?page=2', `${BASE}/Observation?page=2`],
    [
      `${BASE}/Observation?next=https://evil.example/@x&a=%2e%2e%2f`,
      `${BASE}/Observation?next=https://evil.example/@x&a=%2e%2e%2f`,
    ],
    [`${BASE}/Observation?page=2#part`, `${BASE}/Observation?page=2`],
    [`${BASE}/Patient/a%7Eb`, `${BASE}/Patient/a%7Eb`],
  ])('follows %s', (url, expected) => {
    expect(policy.next(url, CURRENT).href).toBe(expected);
  });

  it('is no way out even when the current page was elsewhere', () => {
    expect(
      refusalOf(() => policy.next('?page=2', 'https://evil.example/interconnect/api/FHIR/R4/x')).code,
    ).toBe('URL_REFUSED');
  });

  it('works for IPv6, loopback, ports and a base at the root', () => {
    const ipv6 = createUrlPolicy({ fhirBase: 'http://[0:0:0:0:0:0:0:1]:8080/fhir/' });
    expect(ipv6.base).toBe('http://[::1]:8080/fhir');
    expect(ipv6.next('http://[::1]:8080/fhir/Patient', ipv6.base).href).toBe(
      'http://[::1]:8080/fhir/Patient',
    );
    expect(refusalOf(() => ipv6.next('http://[::1]:8081/fhir/Patient', ipv6.base)).code).toBe('URL_REFUSED');
    expect(refusalOf(() => ipv6.next('http://127.0.0.1:8080/fhir/Patient', ipv6.base)).code).toBe(
      'URL_REFUSED',
    );
    const root = createUrlPolicy({ fhirBase: 'https://fhir.example' });
    expect(root.next('/Patient?page=2', `${root.base}/Patient`).href).toBe(
      'https://fhir.example/Patient?page=2',
    );
  });
});

describe('sameOrigin', () => {
  it('takes any path of the FHIR server, as Epic’s bulk status needs', () => {
    const status = 'https://fhir.example/interconnect/api/FHIR/BulkRequest/00AB';
    expect(policy.sameOrigin(status).href).toBe(status);
    expect(policy.sameOrigin('/interconnect/api/FHIR/BulkRequest/00AB').href).toBe(status);
    expect(policy.sameOrigin('Patient/1').href).toBe(`${BASE}/Patient/1`);
  });

  it.each([
    'https://evil.example/x',
    'http://fhir.example/x',
    'https://fhir.example:444/x',
    'https://fhir.example/%2e%2e',
  ])('refuses %s', (url) => {
    expect(refusalOf(() => policy.sameOrigin(url)).code).toBe('URL_REFUSED');
  });

  it('names the refused origin and nothing more', () => {
    const error = refusalOf(() => policy.sameOrigin('https://evil.example/Patient?name=Lopez'));
    expect(error.message).toBe('the server named a URL outside the FHIR server (https://evil.example)');
  });
});

describe('bulkFile', () => {
  it.each([
    ['https://fhir.example/files/1', true, true],
    ['https://fhir.example/files/1', false, false],
    ['https://files.example/1?sig=x', true, true],
    ['https://files.example/1?sig=x', false, false],
    ['https://bucket.example/1?sig=x', false, false],
    ['/files/1', true, true],
  ])('%s, token required: %s, sent: %s', (url, required, withToken) => {
    expect(policy.bulkFile(url, required, BASE).withToken).toBe(withToken);
  });

  it.each([
    ['https://bucket.example/1', true],
    ['https://files.example:444/1', true],
    ['http://bucket.example/1', false],
    ['http://127.0.0.1:9000/1', false],
    ['https://localhost/1', false],
    ['file:///etc/passwd', false],
  ])('refuses %s, token required: %s', (url, required) => {
    expect(refusalOf(() => policy.bulkFile(url, required, BASE)).code).toBe('URL_REFUSED');
  });

  it('takes files on this machine where the FHIR base is there too', () => {
    const local = createUrlPolicy({ fhirBase: 'http://127.0.0.1:8080/fhir' });
    expect(local.bulkFile('http://127.0.0.1:9090/1', false, local.base).url.port).toBe('9090');
    expect(refusalOf(() => local.bulkFile('http://127.0.0.1:9090/1', true, local.base)).code).toBe(
      'URL_REFUSED',
    );
  });
});

describe('createUrlPolicy', () => {
  it('keeps the token endpoint, on whatever host', () => {
    expect(policy.tokenEndpoint).toBe('https://login.example/oauth2/token');
    expect(createUrlPolicy({ fhirBase: BASE }).tokenEndpoint).toBeUndefined();
  });

  it.each([
    'http://fhir.example/R4',
    'fhir.example/R4',
    'https://u:p@fhir.example/R4',
    `${BASE}?a=b`,
    '',
    'https://fhir.example./R4',
  ])('takes no base %s', (fhirBase) => {
    expect(refusalOf(() => createUrlPolicy({ fhirBase })).code).toBe('CONFIG_INVALID');
  });

  it('takes no token endpoint without https', () => {
    const tokenEndpoint = 'http://login.example/token';
    expect(refusalOf(() => createUrlPolicy({ fhirBase: BASE, tokenEndpoint })).code).toBe('CONFIG_INVALID');
  });
});

describe('secureUrl and isLoopback', () => {
  it('take https anywhere and http on this machine', () => {
    expect(secureUrl('https://login.example/token').href).toBe('https://login.example/token');
    expect(secureUrl('http://127.1:80/token').href).toBe('http://127.0.0.1/token');
    expect(refusalOf(() => secureUrl('http://login.example/token')).code).toBe('URL_REFUSED');
    expect(refusalOf(() => secureUrl('/token')).code).toBe('URL_REFUSED');
  });

  it.each([
    ['127.0.0.1', true],
    ['127.8.9.1', true],
    ['localhost', true],
    ['[::1]', true],
    ['127.evil.example', false],
    ['localhost.evil.example', false],
    ['128.0.0.1', false],
    ['[::2]', false],
  ])('isLoopback(%s) is %s', (hostname, expected) => {
    expect(isLoopback(hostname)).toBe(expected);
  });
});
