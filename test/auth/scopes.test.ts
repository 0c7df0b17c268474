import { describe, expect, it } from 'vitest';
import { endpointProblem } from '../../src/auth/endpoint.ts';
import { missingScopes, scopesCoverType, splitScopes } from '../../src/auth/scopes.ts';

describe('missingScopes', () => {
  it.each<[string, string, string]>([
    ['system/*.read', 'system/*.read', ''],
    ['system/*.read', 'system/*.rs', ''],
    ['system/*.rs', 'system/*.read', ''],
    ['system/Patient.read', 'system/*.*', ''],
    ['system/Patient.rs', 'system/Patient.r system/Patient.s', ''],
    ['system/Patient.r', 'system/Patient.cruds', ''],
    ['system/Patient.rs', 'system/Patient.r', 'system/Patient.rs'],
    ['system/Patient.read', 'user/Patient.read', 'system/Patient.read'],
    ['system/*.read', 'system/Patient.read system/Observation.read', 'system/*.read'],
    ['system/Patient.read system/Observation.read', 'system/Patient.read', 'system/Observation.read'],
    ['system/Observation.rs', 'system/Observation.rs?category=laboratory', 'system/Observation.rs'],
    ['system/Observation.rs?category=laboratory', 'system/Observation.rs', ''],
    ['system/Patient.write', 'system/Patient.read', 'system/Patient.write'],
    ['openid', 'openid system/*.read', ''],
    ['openid', 'system/*.*', 'openid'],
    ['', 'system/*.read', ''],
    ['system/Patient.read', '', 'system/Patient.read'],
  ])('%j of %j: %j', (requested, granted, missing) => {
    expect(missingScopes(splitScopes(requested), splitScopes(granted)).join(' ')).toBe(missing);
  });
});

describe('scopesCoverType', () => {
  it.each<[string, string, boolean]>([
    ['system/*.read', 'Patient', true],
    ['system/Patient.rs', 'Patient', true],
    ['system/Patient.r', 'Patient', false],
    ['system/Patient.read', 'Observation', false],
    ['user/Patient.read', 'Patient', false],
    ['system/Observation.rs?category=laboratory', 'Observation', true],
    ['system/Patient.write', 'Patient', false],
    ['', 'Patient', false],
  ])('%j for %s: %s', (granted, type, covered) => {
    expect(scopesCoverType(splitScopes(granted), type)).toBe(covered);
  });

  it('is not known without an answer, and then not in the way', () => {
    expect(scopesCoverType(undefined, 'Patient')).toBe(true);
  });
});

it('splitScopes takes any white space and drops repetitions', () => {
  expect(splitScopes(' a  b\ta\nc ')).toEqual(['a', 'b', 'c']);
  expect(splitScopes(undefined)).toEqual([]);
});

describe('endpointProblem', () => {
  it.each([
    'https://epic.example/oauth2/token',
    'http://127.0.0.1:8080/t',
    'http://localhost/t',
    'http://[::1]:1/t',
  ])('takes %s', (url) => expect(endpointProblem(url)).toBeUndefined());
  it.each([
    'http://epic.example/token',
    'http://127.0.0.1.evil.example/token',
    'http://localhost.evil.example/',
    'https://user:pass@epic.example/token',
    'https://epic.example/token#x',
    'ftp://epic.example/token',
    '/oauth2/token',
    '',
  ])('refuses %j', (url) => expect(endpointProblem(url)).toMatch(/^it /));
});
