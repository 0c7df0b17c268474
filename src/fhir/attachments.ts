import { createHash } from 'node:crypto';
import { asRoundsError, RoundsError } from '../errors.ts';
import type { HttpResponse } from '../system/http.ts';
import { isJsonObject, parseJson, type JsonObject, type JsonValue } from './jsonBytes.ts';
import { failureOfIssues, issuesOf } from './outcome.ts';
import type { UrlPolicy } from './urlPolicy.ts';

/** Where documents stand in resources, by which name each is known, and what a server answers for one. Pure. */

/** Types whose attachments are downloaded. Binary first: what came as a resource is not asked for again. */
export const TYPES_WITH_ATTACHMENTS = ['Binary', 'DocumentReference', 'DiagnosticReport'] as const;

/** An attachment where it stands (FHIR R4, 2.24.0.14 Attachment); with neither `url` nor `data` it is none. */
export interface AttachmentPlace {
  /** `Type/id` */
  readonly resource: string;
  /** `content[0].attachment`, `presentedForm[0]`; `data` of a Binary. */
  readonly place: string;
  /** As it is written there. */
  readonly contentType: string | undefined;
  readonly size: number | undefined;
  readonly url: string | undefined;
  /** base64; where it is given, the URL needs no asking. */
  readonly data: string | undefined;
}

/** The content of an attachment. */
export interface Content {
  readonly bytes: Buffer;
  /** MIME type as the server named it, in lower case and without parameters. */
  readonly contentType: string | undefined;
}

const MIME_TYPE = /^[a-z0-9!#$&^_.+-]+\/[a-z0-9!#$&^_.+-]+$/;
/** FHIR's own types in all its releases, and what proxies make of them. */
const JSON_TYPE = /^application\/(?:json|[a-z0-9.-]+\+json|json\+fhir)$/;
/** Longer ones are known by their hash. */
const MAX_UNIT_LENGTH = 512;

/** The attachments of a resource, in its order. */
export function attachmentsIn(resource: JsonObject): readonly AttachmentPlace[] {
  const name = `${textOf(resource.resourceType)}/${textOf(resource.id)}`;
  const at = (place: string, attachment: JsonValue | undefined): readonly AttachmentPlace[] => {
    if (!isJsonObject(attachment)) return [];
    const { contentType, size, url, data } = attachment;
    const found = {
      resource: name,
      place,
      contentType: textOf(contentType),
      size: typeof size === 'number' ? size : undefined,
      url: textOf(url),
      data: textOf(data),
    };
    return found.url === undefined && found.data === undefined ? [] : [found];
  };
  switch (resource.resourceType) {
    case 'Binary':
      return at('data', { contentType: resource.contentType, data: resource.data });
    case 'DocumentReference':
      return itemsOf(resource.content).flatMap((item, index) =>
        at(`content[${index}].attachment`, isJsonObject(item) ? item.attachment : undefined),
      );
    case 'DiagnosticReport':
      return itemsOf(resource.presentedForm).flatMap((item, index) => at(`presentedForm[${index}]`, item));
    default:
      return [];
  }
}

/**
 * The name by which an attachment's content is known in a run: `Binary/id`, another URL relative to the base, or, for
 * content that stands in the resource itself, the place. Two places of one name have one content.
 */
export function unitOf({ resource, place, url, data }: AttachmentPlace, urlPolicy: UrlPolicy): string {
  if (data !== undefined) return resource.startsWith('Binary/') ? resource : `${resource}#${place}`;
  const base = `${urlPolicy.base}/`;
  try {
    const { href } = urlPolicy.next(url!, base);
    const unit = href.slice(base.length);
    return unit !== '' && unit.length <= MAX_UNIT_LENGTH ? unit : hashOf(href);
  } catch (thrown) {
    if (asRoundsError(thrown).code !== 'URL_REFUSED') throw thrown;
    return hashOf(url!);
  }
}

/** `text/html` of `Text/HTML; charset=utf-8`; undefined of what is no MIME type. */
export function mimeTypeOf(text: string | undefined): string | undefined {
  const mimeType = text?.split(';')[0]!.trim().toLowerCase();
  return mimeType !== undefined && MIME_TYPE.test(mimeType) ? mimeType : undefined;
}

/** Whether a MIME type is among `types` (`text/*`: all of a kind); all are where there is no list. */
export function isListedType(mimeType: string, types: readonly string[] | undefined): boolean {
  const kind = `${mimeType.slice(0, mimeType.indexOf('/'))}/*`;
  return types === undefined || types.includes(mimeType) || types.includes(kind);
}

/**
 * The content in a server's answer: the body itself, or the `data` of a FHIR Binary (FHIR R4, Binary, "Serving Binary
 * Resources using the RESTful API").
 *
 * @param declared the MIME type that the resource gives the content
 * @throws RoundsError ATTACHMENT_REPLACED for a web page or FHIR where something else is declared; FHIR_NOT_JSON for an
 * answer that says it is FHIR and is not; for an OperationOutcome the failure it stands for; as `contentOfBase64`.
 */
export function readContent(
  { headers, body }: HttpResponse,
  declared: string | undefined,
  maxBytes: number,
): Content {
  const contentType = mimeTypeOf(headers['content-type']);
  if (contentType !== undefined && JSON_TYPE.test(contentType)) {
    const value = parseJson(body);
    const resource: JsonObject = isJsonObject(value) ? value : {};
    if (resource.resourceType === 'Binary') {
      const data = textOf(resource.data);
      if (data === undefined) throw unreadable('a Binary has no content');
      return {
        bytes: contentOfBase64(data, maxBytes),
        contentType: mimeTypeOf(textOf(resource.contentType)),
      };
    }
    if (resource.resourceType === 'OperationOutcome') throw failureOfIssues(issuesOf(resource));
    if (declared !== undefined && !JSON_TYPE.test(declared)) throw replaced('JSON');
  }
  // A page to sign in, or a proxy's. Some servers say text/html of any text, so the text itself has to look like one.
  const mayBePage = contentType === 'text/html' && declared !== undefined && !/html|xml/.test(declared);
  if (mayBePage && /^\s*</.test(body.toString('latin1', 0, 256))) throw replaced('a web page');
  if (body.length === 0) throw unreadable('the answer is empty');
  if (body.length > maxBytes) throw tooLarge(maxBytes);
  return { bytes: body, contentType };
}

/**
 * The bytes of a base64Binary (FHIR R4, 2.24.0.1: groups of four, white space between them does not matter).
 * @throws RoundsError BODY_TOO_LARGE past `maxBytes`; ATTACHMENT_UNREADABLE for what is empty or no base64
 */
export function contentOfBase64(data: string, maxBytes: number): Buffer {
  const compact = /\s/.test(data) ? data.replace(/\s+/g, '') : data;
  const padding = compact.endsWith('==') ? 2 : compact.endsWith('=') ? 1 : 0;
  if ((compact.length / 4) * 3 - padding > maxBytes) throw tooLarge(maxBytes);
  const digits = compact.length - padding;
  if (digits === 0 || compact.length % 4 !== 0 || compact.slice(0, digits).search(/[^A-Za-z0-9+/]/) >= 0) {
    throw unreadable('the data is no base64');
  }
  return Buffer.from(compact, 'base64');
}

function itemsOf(value: JsonValue | undefined): readonly JsonValue[] {
  return Array.isArray(value) ? (value as readonly JsonValue[]) : [];
}

function textOf(value: JsonValue | undefined): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function hashOf(url: string): string {
  return `sha256:${createHash('sha256').update(url).digest('hex')}`;
}

function unreadable(what: string): RoundsError {
  return new RoundsError('ATTACHMENT_UNREADABLE', what);
}

function replaced(by: string): RoundsError {
  return new RoundsError('ATTACHMENT_REPLACED', `${by} came in the place of an attachment`);
}

function tooLarge(maxBytes: number): RoundsError {
  return new RoundsError('BODY_TOO_LARGE', `an attachment exceeds ${maxBytes} bytes`);
}
