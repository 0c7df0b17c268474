import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { RoundsError } from '../../src/errors.ts';
import {
  attachmentsIn,
  contentOfBase64,
  isListedType,
  mimeTypeOf,
  readContent,
  unitOf,
  type AttachmentPlace,
} from '../../src/fhir/attachments.ts';
import { createUrlPolicy } from '../../src/fhir/urlPolicy.ts';

const BASE = 'https://fhir.example/api/FHIR/R4';
const MAX = 1_000;

function codeOf(work: () => unknown): string | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    return (error as RoundsError).code;
  }
}

describe('attachments of a resource', () => {
  const places = (resource: Parameters<typeof attachmentsIn>[0]) =>
    attachmentsIn({ id: 'x', ...resource }).map(({ place, url, data }) => [place, url ?? data]);

  it('stand in content, presentedForm and a Binary’s data', () => {
    const url = { url: 'Binary/b' };
    expect(
      places({
        resourceType: 'DocumentReference',
        content: [{ attachment: url }, { format: {} }, { attachment: { data: 'QQ==' } }],
      }),
    ).toEqual([
      ['content[0].attachment', 'Binary/b'],
      ['content[2].attachment', 'QQ=='],
    ]);
    expect(places({ resourceType: 'DiagnosticReport', presentedForm: [url] })).toEqual([
      ['presentedForm[0]', 'Binary/b'],
    ]);
    expect(places({ resourceType: 'Binary', data: 'QQ==' })).toEqual([['data', 'QQ==']]);
  });

  it('are none where nothing leads to a content, nor in other types, nor in what is shaped otherwise', () => {
    expect(places({ resourceType: 'DocumentReference', content: [{ attachment: { title: 't' } }] })).toEqual(
      [],
    );
    expect(
      places({ resourceType: 'DocumentReference', content: [{ attachment: { url: '', data: '' } }] }),
    ).toEqual([]);
    expect(places({ resourceType: 'Binary' })).toEqual([]);
    expect(places({ resourceType: 'Patient', photo: [{ url: 'Binary/b' }] })).toEqual([]);
    for (const content of [
      null,
      'text',
      3,
      {},
      [null, 'text', [], { attachment: [] }, { attachment: { url: 3 } }],
    ]) {
      expect(places({ resourceType: 'DocumentReference', content })).toEqual([]);
      expect(places({ resourceType: 'DiagnosticReport', presentedForm: content })).toEqual([]);
    }
  });
});

describe('the name of a content', () => {
  const policy = createUrlPolicy({ fhirBase: BASE });
  const unit = (given: Partial<AttachmentPlace>) =>
    unitOf(
      {
        resource: 'DocumentReference/d',
        place: 'content[0].attachment',
        contentType: undefined,
        size: undefined,
        url: undefined,
        data: undefined,
        ...given,
      },
      policy,
    );

  it('is the Binary’s, however its URL is written', () => {
    for (const url of [
      'Binary/b',
      `${BASE}/Binary/b`,
      'HTTPS://FHIR.example:443/api/FHIR/R4/Binary/b',
      'Binary/b#part',
    ]) {
      expect(unit({ url })).toBe('Binary/b');
    }
    expect(unit({ resource: 'Binary/b', place: 'data', data: 'QQ==' })).toBe('Binary/b');
  });

  it('tells versions and other URLs apart', () => {
    const urls = [
      'Binary/b',
      'Binary/b/_history/2',
      'Binary/B',
      'DocumentReference/d/$content?x=1',
      'https://elsewhere.example/Binary/b',
      '//elsewhere.example/b',
      `Binary/${'b'.repeat(600)}`,
    ];
    const units = urls.map((url) => unit({ url }));
    expect(new Set(units).size).toBe(urls.length);
    for (const name of units) expect(name.length).toBeLessThanOrEqual(512);
  });

  it('is the place of what stands in the resource itself', () => {
    expect(unit({ data: 'QQ==', url: 'Binary/b' })).toBe('DocumentReference/d#content[0].attachment');
  });
});

it('reads MIME types, and finds them in a list', () => {
  expect([' Text/HTML ; charset=utf-8', 'text', '', 'a b/c', 'text/*x', undefined].map(mimeTypeOf)).toEqual([
    'text/html',
    undefined,
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
  expect(isListedType('text/html', undefined)).toBe(true);
  expect(isListedType('text/html', ['application/pdf', 'text/*'])).toBe(true);
  expect(isListedType('text/html', ['text/html'])).toBe(true);
  expect(isListedType('textual/html', ['text/*', 'text/html'])).toBe(false);
  expect(isListedType('text/html', [])).toBe(false);
});

describe('base64', () => {
  it('gives any bytes back, with white space where FHIR allows it', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 1, maxLength: MAX }),
        fc.constantFrom('', '\n', ' \r\n\t'),
        (bytes, blank) => {
          const data = Buffer.from(bytes).toString('base64').replace(/.{4}/g, `$&${blank}`);
          expect(contentOfBase64(data, MAX).equals(bytes)).toBe(true);
        },
      ),
    );
  });

  it('takes nothing that was cut or altered', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 3, maxLength: 60 }),
        fc.nat(),
        fc.constantFrom('*', '-', '_', '.', 'é'),
        (bytes, at, odd) => {
          const data = Buffer.from(bytes).toString('base64');
          const place = at % data.length;
          expect(codeOf(() => contentOfBase64(data.slice(0, place) + odd + data.slice(place + 1), MAX))).toBe(
            'ATTACHMENT_UNREADABLE',
          );
          if (place % 4 !== 0) {
            expect(codeOf(() => contentOfBase64(data.slice(0, place), MAX))).toBe('ATTACHMENT_UNREADABLE');
          }
        },
      ),
    );
  });

  it('is measured by what it stands for', () => {
    for (const size of [MAX - 1, MAX, MAX + 1, MAX + 2]) {
      const data = Buffer.alloc(size).toString('base64');
      expect(codeOf(() => contentOfBase64(data, MAX))).toBe(size > MAX ? 'BODY_TOO_LARGE' : undefined);
    }
  });
});

describe('the content in an answer', () => {
  const read = (contentType: string | undefined, body: string | Buffer, declared?: string) =>
    readContent(
      {
        status: 200,
        headers: contentType === undefined ? {} : { 'content-type': contentType },
        body: Buffer.from(body),
      },
      declared,
      MAX,
    );
  const binary = (members: object) => JSON.stringify({ resourceType: 'Binary', ...members });

  it('is the body, or the data of a Binary', () => {
    const pdf = Buffer.from([0x25, 0, 255, 10]);
    expect(read('application/pdf', pdf, 'application/pdf')).toEqual({
      bytes: pdf,
      contentType: 'application/pdf',
    });
    expect(read(undefined, pdf)).toEqual({ bytes: pdf, contentType: undefined });
    for (const type of [
      'application/fhir+json',
      'application/json; charset=utf-8',
      'application/json+fhir',
    ]) {
      const body = binary({ contentType: 'Application/PDF', data: pdf.toString('base64') });
      expect(read(type, body, 'application/pdf')).toEqual({ bytes: pdf, contentType: 'application/pdf' });
    }
  });

  it('is JSON where JSON is declared, or nothing', () => {
    const json = '{"n": 1.50}';
    for (const declared of ['application/json', 'application/fhir+json', undefined]) {
      expect(read('application/json', json, declared).bytes.toString()).toBe(json);
    }
  });

  it.each([
    [
      'another resource',
      'application/fhir+json',
      '{"resourceType":"Basic"}',
      'application/pdf',
      'ATTACHMENT_REPLACED',
    ],
    ['JSON that is cut', 'application/fhir+json', '{"resourceType":"Bin', 'application/pdf', 'FHIR_NOT_JSON'],
    ['a web page', 'text/html', ' <html>', 'application/pdf', 'ATTACHMENT_REPLACED'],
    ['a web page for a text', 'text/html', '<html>', 'text/plain', 'ATTACHMENT_REPLACED'],
    ['a Binary without data', 'application/fhir+json', binary({}), undefined, 'ATTACHMENT_UNREADABLE'],
    [
      'a Binary of no base64',
      'application/fhir+json',
      binary({ data: '#' }),
      undefined,
      'ATTACHMENT_UNREADABLE',
    ],
    ['nothing', 'text/plain', '', 'text/plain', 'ATTACHMENT_UNREADABLE'],
    ['too much', 'text/plain', 'x'.repeat(MAX + 1), undefined, 'BODY_TOO_LARGE'],
    [
      'an OperationOutcome',
      'application/fhir+json',
      '{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"processing","details":{"coding":[{"code":"4134"}]}}]}',
      'application/fhir+json',
      'FHIR_ACCESS_DENIED',
    ],
  ])('is not %s', (_, contentType, body, declared, code) => {
    expect(codeOf(() => read(contentType, body, declared))).toBe(code);
  });

  it('may be a page where a page is declared, and a text that is only called one', () => {
    expect(read('text/html', '<html>', 'application/xhtml+xml').bytes.toString()).toBe('<html>');
    expect(read('text/html', 'a note', 'text/plain').bytes.toString()).toBe('a note');
  });
});
