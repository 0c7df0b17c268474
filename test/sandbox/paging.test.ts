import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pageSpans } from '../../src/sandbox/paging.ts';
import { startSandbox, type Sandbox } from '../../src/sandbox/startSandbox.ts';
import { codesOf, getFhir, nextOf, rawAnswer, rsaKey, tokenFor, type Parsed } from './support/client.ts';

let sandbox: Sandbox;
let token: string;
const key = rsaKey();
/** The fourth patient is heavy: more observations than a page holds. */
const heavy = () => sandbox.patientIdAt(3) ?? '';

beforeAll(async () => {
  sandbox = await startSandbox({ smtp: false, patients: 40, maxPageSize: 120 });
  token = await tokenFor(sandbox, key);
});
afterAll(() => sandbox.close());

async function pagesOf(path: string): Promise<Parsed[]> {
  const pages = [];
  for (let url: string | undefined = path; url !== undefined; url = nextOf(pages.at(-1))) {
    pages.push((await getFhir(sandbox, token, url)).json);
  }
  return pages;
}
const idsIn = (page: Parsed): string[] => (page.entry ?? []).map((entry: Parsed) => entry.resource.id);

describe('pages', () => {
  it('hold every match once, whatever their size, under opaque links', async () => {
    const path = `Observation?patient=${heavy()}&category=laboratory`;
    const whole = await pagesOf(path);
    expect(whole.length).toBeGreaterThan(1);
    expect(nextOf(whole[0])).toMatch(/\/Observation\?sessionID=[0-9a-f]{32}-\d+&page=2$/);
    for (const size of [7, 50]) {
      const pages = await pagesOf(`${path}&_count=${size}`);
      const ids = pages.flatMap(idsIn);
      expect(new Set(ids).size).toBe(ids.length);
      expect(ids).toEqual(whole.flatMap(idsIn));
      expect(pages.every((page) => page.total === ids.length && idsIn(page).length <= size)).toBe(true);
    }
    const capped = await pagesOf(`${path}&_count=5000`);
    expect(Math.max(...capped.map((page) => idsIn(page).length))).toBeLessThanOrEqual(120);
  });

  it('can be empty or short and still have next', async () => {
    let empty = 0;
    let short = 0;
    for (let ordinal = 0; ordinal < 40; ordinal += 1) {
      const pages = await pagesOf(`Encounter?patient=${sandbox.patientIdAt(ordinal) ?? ''}&_count=2`);
      expect(pages.flatMap(idsIn).length).toBe(pages[0].total);
      for (const page of pages.slice(0, -1)) {
        if (page.entry === undefined) empty += 1;
        expect(nextOf(page)).toBeDefined();
      }
    }
    for (let n = 0; n < 40; n += 1) {
      const spans = pageSpans(30, 10, `key ${n}`);
      if (spans.slice(0, -1).some(({ from, to }) => to - from > 0 && to - from < 10)) short += 1;
      expect(spans.at(-1)?.to).toBe(30);
    }
    expect(empty).toBeGreaterThan(0);
    expect(short).toBeGreaterThan(0);
  });

  it('can be asked for again, and end with 4113 when the session is over or unknown', async () => {
    const path = `Observation?patient=${heavy()}&category=laboratory&_count=20`;
    const next = nextOf((await getFhir(sandbox, token, path)).json) ?? '';
    const [first, again] = [await getFhir(sandbox, token, next), await getFhir(sandbox, token, next)];
    expect(idsIn(again.json)).toEqual(idsIn(first.json));
    const unknown = await getFhir(sandbox, token, next.replace(/sessionID=.{8}/, 'sessionID=00000000'));
    expect([unknown.status, ...codesOf(unknown.json)]).toEqual([400, '4113']);

    const short = await startSandbox({ smtp: false, pageSessionSeconds: 0 });
    try {
      const other = await tokenFor(short, key);
      const link = nextOf((await getFhir(short, other, path)).json) ?? '';
      const expired = await getFhir(short, other, link);
      expect([expired.status, ...codesOf(expired.json)]).toEqual([400, '4113']);
    } finally {
      await short.close();
    }
  });

  it('are partly indented, and the link may come after the entries', async () => {
    const texts: string[] = [];
    for (let ordinal = 0; ordinal < 40; ordinal += 1) {
      texts.push(
        (await getFhir(sandbox, token, `Condition?patient=${sandbox.patientIdAt(ordinal) ?? ''}`)).text,
      );
    }
    const indented = texts.filter((text) => /^\s*\{\s*\n/.test(text));
    expect(indented.length).toBeGreaterThan(4);
    expect(indented.length).toBeLessThan(25);
    expect(texts.some((text) => text.includes('\t'))).toBe(true);
    expect(
      texts.some((text) => text.indexOf('"entry"') < text.indexOf('"relation"') && text.includes('"entry"')),
    ).toBe(true);
  });
});

describe('compression', () => {
  const raw = async (path: string, encoding: string) => {
    const asked = { authorization: `Bearer ${token}`, 'accept-encoding': encoding };
    const { headers, body } = await rawAnswer(`${sandbox.fhirBase}/${path}`, asked);
    return { encoding: headers['content-encoding'], body };
  };

  it('is gzip where asked for and worth it', async () => {
    const path = `Encounter?patient=${heavy()}`;
    const plain = await raw(path, 'identity');
    const zipped = await raw(path, 'gzip, deflate');
    expect(plain.encoding).toBeUndefined();
    expect(zipped.encoding).toBe('gzip');
    const withoutSession = (body: Buffer) => body.toString().replace(/sessionID=[^&"]+/g, '');
    expect(withoutSession(gunzipSync(zipped.body))).toBe(withoutSession(plain.body));
    expect((await raw(path, 'gzip;q=0')).encoding).toBeUndefined();
    expect((await raw('Encounter?patient=nobody', 'gzip')).encoding).toBeUndefined();
  });
});
