import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RESOURCE_TYPES } from '../../src/fhir/resourceTypes.ts';
import { safeText } from '../../src/fhir/safeText.ts';
import { COUNTED, NAMES, PLAIN, SMALL } from '../../src/fhir/safeWords.ts';

const vocabulary = [...PLAIN, ...SMALL, ...NAMES];
const known = new Set(vocabulary.map((word) => word.toLowerCase()));
/** The words of a text as a reader sees them, whatever stands between them. */
const wordsIn = (text: string): readonly string[] => text.match(/[$_]*\p{L}[\p{L}\p{N}_]*/gu) ?? [];

/** Epic's sandbox patients (EPIC.md, B): what must never be seen. */
const NAMES_OF_PEOPLE = [
  'Smith',
  'Lopez',
  'Maria',
  'Camila',
  'Derrick',
  'Lin',
  'Powell',
  'McGinnis',
  'O’Brien',
];
const IDS = [
  'erXuFYUfucBZaryVksYEcMg3',
  'eq081-VQEgP8drUUqCWzHfw3',
  'eAB3mDIBBcyUKviyzrxsnAw3',
  'egqBHVfQlt4Bw3XGXoxVxHg3',
  'eIXesllypH3M9tAA5WdJftQ3',
  'eh2xYHuzl9nkSFVvV3osUHg3',
  'e0w0LEDCYtfckT6N.CkJKCw3',
];
const MRNS = ['203709', '203710', '203711', '203712', '203713', '203714', '203715', 'E203713', '203-713'];
const DATES = ['1950-05-05', '05/05/1950', '5.5.1950', '1950-05-05T10:00:00Z', '19500505', '1950'];
const SECRETS = [...NAMES_OF_PEOPLE, ...IDS, ...MRNS, ...DATES];
/** A year may count something ("1950 resources"), so it is looked for where it does not. */
const FRAMES = [
  (secret: string) => secret,
  (secret: string) => `Patient ${secret} resources failed`,
  (secret: string) => `patient: ${secret}, patients`,
  (secret: string) => `(${secret})`,
  (secret: string) => `'${secret}' is “${secret}” and "${secret}"`,
  (secret: string) => `Patient/${secret} not found.`,
  (secret: string) => `request:${secret}/Patient`,
  (secret: string) => `https://server.example/Patient?name=${secret}&_type=x`,
  (secret: string) => `the member id ${secret} files`,
  (secret: string) => `born ${secret} hours`,
  (secret: string) => `${secret}-${secret}/${secret}`,
];

const letters = (text: string) => text.toLowerCase().replace(/[^a-z0-9]/g, '');

describe('safeText', () => {
  it.each([
    'Request not allowed: The Client requested this Group too recently.',
    'An internal error has occurred.',
    'In progress',
    '50% complete',
    '12.5 % done',
    '3 of 10 files, 1,203,713 of 3,000,000 resources',
    'Exported 120 resources for 120 patients (3/10); retry after 30 seconds, 5 minutes or 2 hours',
    'Observation and MedicationRequest are not supported by _typeFilter and $export.',
  ])('lets through: %s', (text) => {
    expect(safeText(text)).toBe(text);
  });

  it.each([
    ['Patient Smith, Maria (MRN 203713, born 1950-05-05) not found', 'Patient … not found'],
    ['“Camila Lopez” is not in the group', '… is not in the group'],
    ['Parameter \'_since\' of "Observation" is wrong', 'Parameter _since of Observation is wrong'],
    ["'request' failed", '… failed'],
    ['The client’s request', 'The … request'],
    ['Patient 120 resources', 'Patient … resources'],
    ['Patient: 120 resources', 'Patient: … resources'],
    ['203713 resources', '… resources'],
    ['10 of 3, 10/3', '… of …'],
    ['03/10 and 101%', '… and …'],
    ['changed on 3/10', 'changed on …'],
    ['group Will may fail', 'group … may fail'],
    ['pAtient tOken', '…'],
    ['one\nfile\u0000\u202eSmith files', 'one file … files'],
    ['Smith', '…'],
    ['', ''],
  ])('%j becomes %j', (text, shown) => {
    expect(safeText(text)).toBe(shown);
  });

  it('shows 200 characters at most, whole words, and looks at a long text’s beginning only', () => {
    const long = safeText('request '.repeat(1_000));
    expect(long.length).toBeLessThanOrEqual(200);
    expect(long).toMatch(/^(request )+…$/);
    expect(safeText(`${'Smith '.repeat(40)}${'failed '.repeat(40)}`)).toMatch(/^… (failed )+…$/);
    expect(safeText('x'.repeat(5_000_000))).toBe('…');
    // The end of what is looked at falls into a word whose beginning is another word.
    expect(safeText(`${' '.repeat(3_990)}fail inSmith`)).toBe('fail …');
  });

  it('lets no word through that is not in the vocabulary, whatever the text', () => {
    const piece = fc.oneof(
      fc.constantFrom(...vocabulary, ...SECRETS, ...COUNTED),
      fc.string({ unit: 'binary' }),
      fc.string(),
      fc.constantFrom('"', "'", '“', '”', '(', ')', ' - ', '/', ':', ',', '%', 'of', '3', '10', '…'),
    );
    const text = fc.array(fc.tuple(piece, fc.constantFrom(' ', '', '\n', '.', '-', '/'))).map((parts) => {
      return parts.flat().join('');
    });
    fc.assert(
      fc.property(text, (given) => {
        const shown = safeText(given);
        expect(shown.length).toBeLessThanOrEqual(200);
        expect(wordsIn(shown).filter((word) => !known.has(word.toLowerCase()))).toEqual([]);
        expect(shown).not.toMatch(/…\s*…|[\n\r\p{Cc}]|(?<![\d,])\d{6}/u);
        // What is safe stays as it is, so that it may pass twice.
        expect(wordsIn(safeText(shown)).every((word) => known.has(word.toLowerCase()))).toBe(true);
      }),
      { numRuns: 1_000 },
    );
  });

  it('never shows a name, an id, an MRN or a date, wherever it stands', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...SECRETS),
        fc.constantFrom(...FRAMES),
        fc.constantFrom('request', 'patient', 'failed,', 'of', '(', '"', '10'),
        (secret, frame, word) => {
          const shown = safeText(`${word} ${frame(secret)} ${word}`);
          expect(letters(shown)).not.toContain(letters(secret));
        },
      ),
      { numRuns: 2_000 },
    );
  });

  it('has a vocabulary of words alone, and no names among those that may have a capital', () => {
    for (const word of [...PLAIN, ...SMALL]) expect(word).toMatch(/^[a-z]+$/);
    for (const name of NAMES_OF_PEOPLE) expect(known.has(name.toLowerCase())).toBe(false);
    expect([...RESOURCE_TYPES].filter((type) => !NAMES.has(type))).toEqual([]);
  });
});
