/** Lines as somebody would write them who wants the console to do something. */

const SCRIPT = '<script>alert(1)</script>';
const BREAKS_OUT = `"'><img src=x onerror=alert(1)>`;
const PATH = '../../../../etc/passwd';
const FORMULA = '=HYPERLINK("http://evil.example","x")';

export const HOSTILE_LINES: readonly string[] = [
  {
    resourceType: 'Patient',
    id: 'hostile',
    text: { status: 'generated', div: `<div xmlns="http://www.w3.org/1999/xhtml">${SCRIPT}</div>` },
    name: [{ family: SCRIPT, given: [BREAKS_OUT] }],
    gender: FORMULA,
    birthDate: '+1+1',
    address: [{ line: ['@SUM(A1)'], city: '\u202egnp.exe' }],
    telecom: [{ system: 'phone', value: 'javascript:alert(1)' }],
  },
  {
    resourceType: 'Observation',
    id: PATH,
    code: { text: `${SCRIPT}${BREAKS_OUT}`, coding: [{ code: '8867-4' }] },
    subject: { reference: 'Patient/hostile', display: BREAKS_OUT },
    encounter: { reference: 'javascript:alert(1)' },
    effectiveDateTime: '2020-01-01',
    valueQuantity: { value: 1, unit: SCRIPT },
    referenceRange: [{ low: { value: 2, unit: SCRIPT }, text: BREAKS_OUT }],
    interpretation: [{ coding: [{ code: 'HH' }] }],
  },
  {
    resourceType: 'Observation',
    id: '<b>',
    code: { text: `${SCRIPT}${BREAKS_OUT}`, coding: [{ code: '8867-4' }] },
    subject: { reference: 'Patient/hostile' },
    effectiveDateTime: `2020-01-02T00:00:00Z${SCRIPT}`,
    valueQuantity: { value: 3, unit: SCRIPT },
  },
  {
    resourceType: 'Observation',
    code: { text: FORMULA },
    subject: { reference: 'http://evil.example/Patient/hostile' },
    valueString: '-2+3',
    [BREAKS_OUT]: { [SCRIPT]: ['constructor', { __proto__x: null }] },
  },
  {
    resourceType: 'Observation',
    id: 'no-shape',
    code: [[[]]],
    subject: 7,
    status: { a: { b: null } },
    component: 'x',
    category: [null, 1, 'x', {}],
    valueQuantity: [],
    referenceRange: { low: [] },
    interpretation: 'H',
    effectivePeriod: [{ start: {} }],
    meta: [],
  },
  {
    resourceType: 'Observation',
    id: 'second',
    code: { text: 'Pulse', coding: [{ code: '8867-4' }] },
    subject: { reference: 'Patient/hostile' },
    effectiveDateTime: '2020-01-03',
    valueQuantity: { value: 2, unit: SCRIPT },
  },
  { resourceType: 'Basic', id: 'x', code: { text: SCRIPT }, subject: { reference: `Patient/${PATH}` } },
].map((resource) => JSON.stringify(resource));

/** What must not stand on any page as it is. */
export const LIVE_MARKUP =
  /<script>alert|<img src=x|onerror=alert\(1\)>|href="javascript:|href="http:\/\/evil/;
