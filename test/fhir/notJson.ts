import { RoundsError } from '../../src/errors.ts';

/** The code of the RoundsError that a call throws. */
export const codeOf = (act: () => unknown): string => {
  try {
    act();
  } catch (error) {
    return error instanceof RoundsError ? error.code : String(error);
  }
  return 'nothing thrown';
};

/** Bodies that are no JSON, each with its name. */
export const NOT_JSON: readonly (readonly [what: string, body: Buffer])[] = [
  ['an empty body', Buffer.alloc(0)],
  ['only a byte order mark', Buffer.from('\ufeff')],
  ['HTML', Buffer.from('<!doctype html><title>Sign in</title>')],
  ['text', Buffer.from('Service Unavailable')],
  ['JSON that is cut', Buffer.from('{"resourceType":"Bundle","entry":[')],
  ['a newline inside a string', Buffer.from('{"a":"b\nc"}')],
  ['a carriage return inside a string', Buffer.from('{"a":"b\rc"}')],
  ['a trailing comma', Buffer.from('{"a":1,}')],
  ['a second value', Buffer.from('{}{}')],
  ['Latin-1', Buffer.from('{"a":"\u00fc"}', 'latin1')],
  ['UTF-16', Buffer.from('{"a":1}', 'utf16le')],
  ['an overlong slash', Buffer.from([0x22, 0xc0, 0xaf, 0x22])],
  ['a raw surrogate', Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22])],
  ['a number with a leading zero', Buffer.from('{"a":01}')],
  ['a number that ends in a dot', Buffer.from('[1.]')],
  ['a plus sign', Buffer.from('[+1]')],
  ['an exponent without digits', Buffer.from('[1e]')],
  ['a word that is none', Buffer.from('[nul]')],
  ['a longer word', Buffer.from('[nulls]')],
  ['a word that is cut', Buffer.from('tru')],
  ['an unknown escape', Buffer.from('["\\x41"]')],
  ['half an escape', Buffer.from('["\\u12"]')],
  ['a key without quotes', Buffer.from('{a:1}')],
  ['a missing colon', Buffer.from('{"a" 1}')],
  ['a missing comma', Buffer.from('["a" "b"]')],
  ['a comma at the end of a list', Buffer.from('[1,]')],
  ['the wrong bracket', Buffer.from('{"a":1]')],
  ['a form feed between tokens', Buffer.from('[1,\f2]')],
  ['a no-break space between tokens', Buffer.from('[1,\u00a02]')],
  ['white space alone', Buffer.from(' \n')],
  ['a minus alone', Buffer.from('-')],
];
