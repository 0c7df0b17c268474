import { describe, expect, it } from 'vitest';
import { jsonAnswer, type Route } from '../../src/console/exchange.ts';
import { Router } from '../../src/console/router.ts';

const route = (path: string, method: Route['method'] = 'GET'): Route => ({
  ...{ method, path },
  answer: () => jsonAnswer(path),
});

const router = new Router(
  [
    '/',
    '/runs',
    '/runs/{runId}',
    '/runs/{runId}/log',
    '/data/{source}/{type}',
    '/data/{source}/patients',
  ].map((path) => route(path)),
);

describe('Router', () => {
  it.each([
    ['/', '/', {}],
    ['/runs', '/runs', {}],
    ['/runs/x', '/runs/{runId}', { runId: 'x' }],
    ['/runs/a%2Fb', '/runs/{runId}', { runId: 'a/b' }],
    ['/runs/x/log', '/runs/{runId}/log', { runId: 'x' }],
    ['/data/s/patients', '/data/{source}/patients', { source: 's' }],
    ['/data/s/Patient', '/data/{source}/{type}', { source: 's', type: 'Patient' }],
  ])('%s is %s', (pathname, path, params) => {
    const match = router.find('GET', pathname);
    expect(match?.route.path).toBe(path);
    expect(match?.params).toEqual(params);
  });

  it.each(['/none', '/runs/', '/runs//log', '/runs/x/log/', '/runs/%', '//', '/runs/x/y/z'])(
    '%s is no page',
    (pathname) => {
      expect(router.find('GET', pathname)).toBeUndefined();
    },
  );

  it('knows a path by its method', () => {
    expect(router.find('POST', '/runs')).toBeUndefined();
  });

  it('refuses two routes of one path', () => {
    expect(() => new Router([route('/a/{b}'), route('/a/{c}')])).toThrow('two routes for GET /a/{}');
  });
});
