import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startSandbox, type Sandbox } from '../../src/sandbox/startSandbox.ts';
import { codesOf, getFhir, rsaKey, tokenFor, type Fetched, type Parsed } from './support/client.ts';

const key = rsaKey();
let epic: Sandbox;
let lax: Sandbox;
let tokens: readonly [string, string];
const CAMILA = 'erXuFYUfucBZaryVksYEcMg3';

beforeAll(async () => {
  epic = await startSandbox({ smtp: false, special: true });
  lax = await startSandbox({ smtp: false, dialect: 'us-core' });
  tokens = [await tokenFor(epic, key), await tokenFor(lax, key)];
});
afterAll(async () => {
  await epic.close();
  await lax.close();
});

const atEpic = (path: string, headers?: Record<string, string>) => getFhir(epic, tokens[0], path, headers);
const atLax = (path: string) => getFhir(lax, tokens[1], path);
const refusal = (answer: Fetched) => [answer.status, ...codesOf(answer.json)];
const modes = (answer: Fetched, mode: string) =>
  (answer.json.entry ?? [])
    .filter((entry: Parsed) => entry.search.mode === mode)
    .map((entry: Parsed) => entry.resource);

describe('what Epic refuses', () => {
  it.each([
    [`Observation?patient=${CAMILA}`, 400, '59108'],
    [`Observation?patient=${CAMILA}&category=procedure`, 400, '59102'],
    [`Observation?patient=${CAMILA}&category=therapy`, 400, '59102'],
    [`Observation?patient=${CAMILA}&category=laboratory,activity`, 400, '59102'],
    [`CarePlan?patient=${CAMILA}`, 400, '4115'],
    [`EpisodeOfCare?patient=${CAMILA}`, 400, '4115'],
    ['Patient?active=true', 400, '4115'],
    ['Condition', 400, '4110'],
    ['Condition?category=problem-list-item', 400, '4115'],
    [`Medication?patient=${CAMILA}`, 400, '4115'],
    [`Location?patient=${CAMILA}`, 400, '4115'],
    [`Practitioner?patient=${CAMILA}`, 400, '4115'],
    [`Provenance?patient=${CAMILA}`, 400, '59100'],
    [`ValueSet?_id=x`, 400, '59100'],
    [`SupplyDelivery?patient=${CAMILA}`, 404, '59100'],
    [`Condition?patient=${CAMILA}&_lastUpdated=ge2020`, 400, '59102'],
    [`Condition?patient=${CAMILA}&recorded-date=ge20x`, 400, '59111'],
    [`Condition?patient=${CAMILA}&_count=0`, 400, '4100'],
    [`Condition?patient=Group/x`, 400, '4100'],
    [`AdverseEvent?patient=${CAMILA}`, 400, '4115'],
    ['Patient/nobody', 404, '4102'],
    ['Condition/nothing', 404, '4102'],
  ])('%s: %i %s', async (path, status, code) => {
    expect(refusal(await atEpic(path))).toEqual([status, code]);
  });

  it('has no $everything, history or batch', async () => {
    for (const path of [`Patient/${CAMILA}/$everything`, `Patient/${CAMILA}/_history`]) {
      expect((await atEpic(path)).status).toBe(404);
    }
    const headers = { Authorization: `Bearer ${tokens[0]}` };
    expect((await fetch(epic.fhirBase, { method: 'POST', headers })).status).toBe(404);
  });
});

describe('what it answers', () => {
  it('gives a Binary’s content under its own type, unless FHIR’s form is asked for', async () => {
    const found = await atEpic(`DocumentReference?patient=${CAMILA}`);
    const [document] = modes(found, 'match');
    const { url, contentType } = document.content[0].attachment;
    const content = await atEpic(url, { Accept: contentType });
    expect(content.headers.get('content-type')).toBe('text/html');
    const preferred = await atEpic(url, { Accept: `*/*;q=0.5, ${contentType}` });
    expect(preferred.text).toBe(content.text);
    for (const accept of ['application/fhir+json', '*/*', 'text/html;q=0.5, application/fhir+json']) {
      const { json } = await atEpic(url, { Accept: accept });
      expect(json.resourceType).toBe('Binary');
      expect(Buffer.from(json.data, 'base64').toString()).toBe(content.text);
    }
  });

  it('ignores an unknown parameter with 59109, or refuses it when asked to be strict', async () => {
    const path = `Condition?patient=${CAMILA}&shoe-size=44`;
    const answer = await atEpic(path);
    expect(answer.json.entry.at(-1).search.mode).toBe('outcome');
    expect(codesOf(answer.json.entry.at(-1).resource)).toEqual(['59109']);
    expect(modes(answer, 'match').length).toBe(answer.json.total);
    expect(refusal(await atEpic(path, { Prefer: 'handling=strict' }))).toEqual([400, '59109']);
  });

  it('says 4101 in one outcome entry when there is nothing', async () => {
    const { status, json } = await atEpic(`Condition?patient=${CAMILA}&recorded-date=lt1900`);
    expect([status, json.total, json.entry.length, json.entry[0].search.mode]).toEqual([
      200,
      0,
      1,
      'outcome',
    ]);
    expect(codesOf(json.entry[0].resource)).toEqual(['4101']);
    expect(json.entry[0].resource.issue[0].details.coding[0].system).toMatch(/^urn:oid:/);
    expect((await atEpic('Condition?patient=nobody')).json.total).toBe(0);
  });

  it('takes a patient as id, reference or URL, by GET or by form', async () => {
    const bare = await atEpic(`Condition?patient=${CAMILA}`);
    expect(bare.json.total).toBeGreaterThan(0);
    for (const patient of [`Patient/${CAMILA}`, `${epic.fhirBase}/Patient/${CAMILA}`]) {
      const answer = await atEpic(`Condition?subject=${encodeURIComponent(patient)}`);
      expect(answer.json.total).toBe(bare.json.total);
    }
    const posted = await fetch(`${epic.fhirBase}/Condition/_search`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${tokens[0]}` },
      body: new URLSearchParams({ patient: CAMILA }),
    });
    expect(((await posted.json()) as { total: number }).total).toBe(bare.json.total);
    await expect
      .poll(
        () =>
          epic.requests.findLast((request) => request.method === 'POST' && request.endpoint === 'search')
            ?.body,
      )
      .toBe(`patient=${CAMILA}`);
  });

  it('finds a patient by MRN with and without system, and several by _id', async () => {
    const system = 'urn:oid:1.2.840.114350.1.13.0.1.7.5.737384.14';
    for (const identifier of ['203713', `${system}|203713`]) {
      const answer = await atEpic(`Patient?identifier=${encodeURIComponent(identifier)}`);
      expect(modes(answer, 'match').map((p: Parsed) => p.id)).toEqual([CAMILA]);
    }
    expect((await atEpic('Patient?identifier=urn:other|203713')).json.total).toBe(0);
    const two = await atEpic(`Patient?_id=${CAMILA},${epic.patientIdAt(1) ?? ''},nobody`);
    expect(two.json.total).toBe(2);
    expect((await atEpic('Patient?family=Lopez&given=Camila')).json.total).toBe(1);
  });

  it('filters by token, date with prefix and status', async () => {
    const all = await atEpic(`Condition?patient=${CAMILA}`);
    const conditions = modes(all, 'match');
    const dates = conditions.map((c: Parsed) => c.recordedDate).sort();
    const middle = dates[Math.floor(dates.length / 2)];
    const totals = await Promise.all(
      [`ge${middle}`, `lt${middle}`, `gt${middle}`, `le${middle}`, middle].map(
        async (date) =>
          (await atEpic(`Condition?patient=${CAMILA}&recorded-date=${date}`)).json.total as number,
      ),
    );
    const count = (keep: (d: string) => boolean) => dates.filter(keep).length;
    expect(totals).toEqual([
      count((d) => d >= middle),
      count((d) => d < middle),
      count((d) => d > middle),
      count((d) => d <= middle),
      count((d) => d === middle),
    ]);
    const category = 'http://terminology.hl7.org/CodeSystem/condition-category|problem-list-item';
    const listed = await atEpic(`Condition?patient=${CAMILA}&category=${encodeURIComponent(category)}`);
    expect(
      modes(listed, 'match').every((c: Parsed) => c.category[0].coding[0].code === 'problem-list-item'),
    ).toBe(true);
    const active = (await atEpic(`Condition?patient=${CAMILA}&clinical-status=active`)).json.total as number;
    const resolved = (await atEpic(`Condition?patient=${CAMILA}&clinical-status=resolved`)).json
      .total as number;
    expect(active + resolved).toBe(conditions.length);
  });

  it('returns an observation of two categories in the search of each', async () => {
    const path = (category: string) => `Observation?patient=${CAMILA}&category=${category}&_count=1000`;
    const ids = async (category: string) => {
      const first = await atEpic(path(category));
      const rest = first.json.link.find((l: Parsed) => l.relation === 'next');
      const more = rest ? await atEpic(rest.url) : undefined;
      return [first, ...(more ? [more] : [])].flatMap((page) =>
        modes(page, 'match').map((o: Parsed) => o.id),
      );
    };
    const [laboratory, survey] = [await ids('laboratory'), await ids('survey')];
    expect(laboratory.filter((id: string) => survey.includes(id)).length).toBeGreaterThan(0);
  });

  it('brings Provenance along when asked, and Medication by _include', async () => {
    const answer = await atEpic(
      `Observation?patient=${CAMILA}&category=laboratory&_count=1000&_revinclude=Provenance:target`,
    );
    const found = modes(answer, 'match').map((o: Parsed) => `Observation/${o.id}`);
    const provenance = modes(answer, 'include');
    expect(provenance.length).toBeGreaterThan(0);
    expect(provenance.every((p: Parsed) => p.target.some((t: Parsed) => found.includes(t.reference)))).toBe(
      true,
    );
    const drugs = await atEpic(`MedicationRequest?patient=${CAMILA}&_include=MedicationRequest:medication`);
    expect(modes(drugs, 'include').every((m: Parsed) => m.resourceType === 'Medication')).toBe(true);
    expect(modes(drugs, 'include').length).toBeGreaterThan(0);
  });

  it('describes itself without a token', async () => {
    const metadata = await (await fetch(`${epic.fhirBase}/metadata`)).json();
    expect(metadata.fhirVersion).toBe('4.0.1');
    const of = (type: string) => metadata.rest[0].resource.find((r: Parsed) => r.type === type);
    const names = (type: string) => of(type).searchParam.map((p: Parsed) => p.name);
    expect(names('Observation')).toEqual(expect.arrayContaining(['patient', 'category', 'issued']));
    expect(names('Medication')).toEqual(['_id', '_count']);
    expect(names('AdverseEvent')).not.toContain('patient');
    expect(of('Provenance').interaction).toEqual([{ code: 'read' }]);
    expect(of('Condition').searchRevInclude).toEqual(['Provenance:target']);
    const smart = await (await fetch(`${epic.fhirBase}/.well-known/smart-configuration`)).json();
    expect(smart.token_endpoint).toBe(epic.tokenEndpoint);
  });
});

describe('special patients', () => {
  const special = (n: number) => epic.patientIdAt(7 + n) ?? '';

  it('a merged one is the survivor', async () => {
    const read = await atEpic(`Patient/${special(0)}`);
    expect(read.json.id).toBe(CAMILA);
    const answer = await atEpic(`Condition?patient=${special(0)}`);
    const own = await atEpic(`Condition?patient=${CAMILA}`);
    expect(answer.json.total).toBe(own.json.total);
    expect(modes(answer, 'outcome').flatMap(codesOf)).toEqual(['4107']);
  });

  it('a deleted one is gone, one behind glass refused, a partial one says so', async () => {
    expect(refusal(await atEpic(`Patient/${special(1)}`))).toEqual([410, '4103']);
    expect(refusal(await atEpic(`Condition?patient=${special(1)}`))).toEqual([410, '4103']);
    expect(refusal(await atEpic(`Patient/${special(2)}`))).toEqual([403, '4134']);
    expect(refusal(await atEpic(`Condition?patient=${special(2)}`))).toEqual([403, '4134']);
    const partial = await atEpic(`Encounter?patient=${special(3)}`);
    expect(modes(partial, 'outcome').flatMap(codesOf)).toContain('59204');
    expect(partial.json.total).toBeGreaterThan(0);
  });

  it('two share an MRN', async () => {
    const [twin] = modes(await atEpic(`Patient?_id=${special(4)}`), 'match');
    const mrn = twin.identifier.find((i: Parsed) => i.type.text === 'MRN').value;
    expect((await atEpic(`Patient?identifier=${mrn}`)).json.total).toBe(2);
  });
});

describe('the us-core dialect', () => {
  it('needs no category, searches Provenance by patient and everything by _id', async () => {
    const all = await atLax(`Observation?patient=${CAMILA}&_count=1000`);
    expect(all.json.total).toBeGreaterThan(15);
    expect((await atLax(`Provenance?patient=${CAMILA}`)).json.total).toBeGreaterThan(0);
    expect((await atLax(`SupplyDelivery?patient=${CAMILA}`)).status).toBe(200);
    expect((await atLax(`Observation?patient=${CAMILA}&category=procedure`)).status).toBe(200);
    expect((await atLax(`Condition?patient=${CAMILA}&_lastUpdated=ge2020`)).status).toBe(200);
    const [team] = modes(await atLax(`CareTeam?patient=${lax.patientIdAt(1) ?? ''}`), 'match');
    expect((await atLax(`CareTeam?_id=${team.id}`)).json.total).toBe(1);
  });
});
