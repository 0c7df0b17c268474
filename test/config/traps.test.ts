import { describe, expect, it } from 'vitest';
import { MINIMAL, load, problemsOf, settingsOf } from './support.ts';

/** MINIMAL with a section behind it; its first line is line 7, so a key below a header is in line 8. */
const withSection = (text: string): string => `${MINIMAL}${text}`;
const MAIL = '[email]\nnotification_from = a@b.example\nnotification_to = c@d.example\nsmtp_user = u\n';

describe('what INI does to values', () => {
  it.each([
    [
      '[data_sources]\nmrn_system = urn:a;b',
      'rounds.ini:8 [data_sources] mrn_system: INI cuts an unquoted value off at ";"; write \'urn:a;b\'',
    ],
    [
      '[data_sources]\nmrn_system = urn:a#b',
      'rounds.ini:8 [data_sources] mrn_system: INI cuts an unquoted value off at "#"; write \'urn:a#b\'',
    ],
    [
      '[paths]\nlog_folder = logs # here',
      'rounds.ini:8 [paths] log_folder: INI cuts an unquoted value off at "#"; put a comment in a line of its own, or write \'logs # here\'',
    ],
    [
      '[paths]\nlog_folder = "C:\\temp"',
      "rounds.ini:8 [paths] log_folder: in double quotes a backslash and a letter become one control character; write 'C:\\temp'",
    ],
    [
      '[paths]\nlog_folder = "C:\\new"',
      "rounds.ini:8 [paths] log_folder: in double quotes a backslash and a letter become one control character; write 'C:\\new'",
    ],
    [
      '[paths]\nlog_folder = "C:\\FHIR"',
      "rounds.ini:8 [paths] log_folder: a backslash in double quotes is an escape, and this one is none; write 'C:\\FHIR'",
    ],
    [
      '[paths]\nlog_folder = \\\\srv\\share',
      "rounds.ini:8 [paths] log_folder: INI makes one backslash of two; write '\\\\srv\\share'",
    ],
    [
      '[paths]\nlog_folder = "\\\\srv\\\\share"',
      "rounds.ini:8 [paths] log_folder: in double quotes a share loses one of its backslashes; write '\\\\srv\\\\share'",
    ],
    [
      '[data_sources]\nmrn_system = "urn:a" ; b',
      'rounds.ini:8 [data_sources] mrn_system: the quote does not end at the end of the line; close it, and put a comment in a line of its own',
    ],
    [
      '[data_sources]\nmrn_system = "urn:a',
      'rounds.ini:8 [data_sources] mrn_system: the quote does not end at the end of the line; close it, and put a comment in a line of its own',
    ],
    [
      '[data_sources]\nmrn_system = "a" or "b"',
      'rounds.ini:8 [data_sources] mrn_system: holds quotes within quotes; use single quotes around it',
    ],
    [
      '[data_sources]\nmrn_system',
      'rounds.ini:8 [data_sources] mrn_system: has no = and so no value; write key = value',
    ],
    ['[bulk]\ntypes[] = Patient', 'rounds.ini:8: lists are written in one line; write types = first, second'],
    ['[bulk]\n__proto__ = x', 'rounds.ini:8: this is no key; write one `key = value` in a line'],
    [
      '[__proto__]\nx = y',
      'rounds.ini:7: this cannot be the name of a section; write one such as [paths] or [job nightly]',
    ],
    ['[bulk]\n= x', 'rounds.ini:8: this is no key; write one `key = value` in a line'],
    ['[bulk]\ntypes: Patient', 'rounds.ini:8: this is no key; write one `key = value` in a line'],
    [
      '  [bulk]',
      'rounds.ini:7: a section line starts in the first column and holds nothing but [name]; write [bulk]',
    ],
    [
      '[bulk] ; export',
      'rounds.ini:7: a section line starts in the first column and holds nothing but [name]; write [bulk]',
    ],
    [
      '[bulk]\nlevel = group\nlevel = group',
      'rounds.ini:9 [bulk] level: stands in line 8 already; keep one of the two',
    ],
    [
      '[paths]\nprivate_key = other.pem',
      'rounds.ini:8 [paths] private_key: stands in line 2 already; keep one of the two',
    ],
  ])('refuses %j', async (text, problem) => {
    expect(await problemsOf(withSection(text))).toEqual([problem]);
  });

  it.each(['pa;Zz', 'pa #Zz', '#paZz', 'pa\\\\Zz', '"pa\\tZz"', '"paZz'])(
    'refuses the password %j without showing it',
    async (written) => {
      const [problem, ...others] = await problemsOf(withSection(`${MAIL}smtp_pass = ${written}`));
      expect(others).toEqual([]);
      expect(problem).toMatch(/^rounds\.ini:11 \[email\] smtp_pass: /);
      expect(problem).not.toContain('Zz');
    },
  );

  it.each([
    ["'pa;ss#1'", 'pa;ss#1'],
    ['pa\\;ss', 'pa;ss'],
    ['"pa;s\\"s"', 'pa;s"s'],
    ["'C:\\temp'", 'C:\\temp'],
    ["'0012'", '0012'],
    ["'1.50'", '1.50'],
    ["' pass '", ' pass '],
    ['null', 'null'],
    ['true', 'true'],
    ["'${HOME}'", '${HOME}'],
    ['a${HOME}b', 'a${HOME}b'],
  ])('reads the password %s as %s', async (written, value) => {
    const settings = await settingsOf(withSection(`${MAIL}smtp_pass = ${written}`), { HOME: '/home/x' });
    expect(settings.email?.smtp_pass).toBe(value);
  });

  it('takes a comment behind a blank, with a warning, where nothing is lost by it', async () => {
    const config = await load(
      withSection('[api_settings]\npage_size = 50 ; Epic takes 1000\nmax_pages = # all'),
    );
    expect(config.jobs[0]!.settings.api_settings).toMatchObject({ page_size: 50, max_pages: 0 });
    expect(config.warnings).toEqual([
      'rounds.ini:8 [api_settings] page_size: what follows ";" is taken as a comment; quote the value if it is part of it',
      'rounds.ini:9 [api_settings] max_pages: what follows "#" is taken as a comment; quote the value if it is part of it',
    ]);
  });

  it.each([
    ['LF', MINIMAL],
    ['CRLF', MINIMAL.replaceAll('\n', '\r\n')],
    ['a BOM', `\ufeff${MINIMAL}`],
    ['one line for two headers of a section', `${MINIMAL}[paths]\nlog_folder = logs\n`],
  ])('reads a file with %s', async (_, ini) => {
    expect((await settingsOf(ini)).oauth_settings.client_id).toBe('abc');
  });

  it.each([
    ['UTF-16, as Notepad once saved', Buffer.from(`\ufeff${MINIMAL}`, 'utf16le')],
    ['Latin-1', Buffer.from(`${MINIMAL}[oauth_settings]\nscope = M\xfcller`, 'latin1')],
  ])('refuses %s', async (_, bytes) => {
    expect(await problemsOf(bytes)).toEqual(['rounds.ini: is not UTF-8 text; save it as UTF-8']);
  });

  it('takes a bare key of a boolean as true', async () => {
    expect((await settingsOf(withSection('[console]\nenabled\n'))).console.enabled).toBe(true);
  });

  it('takes a key with nothing behind = as unset', async () => {
    const settings = await settingsOf(withSection('[api_settings]\npage_size =\n[schedule]\ncron =\n'));
    expect(settings.api_settings.page_size).toBe(100);
    expect(settings.schedule.cron).toBeUndefined();
  });
});

describe('names', () => {
  it.each([
    [
      '[api_setings]\npage_size = 5',
      'rounds.ini:7 [api_setings]: there is no such section; did you mean api_settings?',
    ],
    [
      '[constructor]\nx = 5',
      'rounds.ini:7: this cannot be the name of a section; write one such as [paths] or [job nightly]',
    ],
    ['[toString]\nx = 5', 'rounds.ini:7 [toString]: there is no such section'],
    [
      '[api_settings]\npagesize = 5',
      'rounds.ini:8 [api_settings] pagesize: there is no such key; did you mean page_size?',
    ],
    [
      '[api_settings]\npage_szie = 5',
      'rounds.ini:8 [api_settings] page_szie: there is no such key; did you mean page_size?',
    ],
    [
      '[api_settings]\nPage_Size = 5',
      'rounds.ini:8 [api_settings] Page_Size: there is no such key; did you mean page_size?',
    ],
    [
      '[bulk]\npage_size = 5',
      'rounds.ini:8 [bulk] page_size: there is no such key here; it belongs in [api_settings]',
    ],
    ['[bulk]\nxyzzy = 5', 'rounds.ini:8 [bulk] xyzzy: there is no such key'],
    [
      '[job Nightly]\n',
      'rounds.ini:7 [job Nightly]: needs a name of 1 to 40 small letters, digits and -; write such as [job nightly]',
    ],
    [
      '[job]\n',
      'rounds.ini:7 [job]: needs a name of 1 to 40 small letters, digits and -; write such as [job nightly]',
    ],
    [
      '[job nul]\n',
      'rounds.ini:7 [job nul]: needs a name of 1 to 40 small letters, digits and -; write such as [job nightly]',
    ],
    [
      `[job ${'a'.repeat(41)}]\n`,
      `rounds.ini:7 [job ${'a'.repeat(41)}]: needs a name of 1 to 40 small letters, digits and -; write such as [job nightly]`,
    ],
    [
      '[job a]\n[job a]\n',
      'rounds.ini:8 [job a]: a job of this name begins in line 7; give this one another name',
    ],
    [
      '[job a]\npage_size = 5',
      "rounds.ini:8 [job a] page_size: a job's keys name their section; write api_settings.page_size",
    ],
    [
      '[job a]\napi_settings.page_sise = 5',
      'rounds.ini:8 [job a] api_settings.page_sise: there is no such key; did you mean api_settings.page_size?',
    ],
    [
      '[job a]\nmethod = bluk',
      'rounds.ini:8 [job a] method: is "bluk"; did you mean bulk?; write crawl or bulk',
    ],
    [
      '[job a]\nlogging.level = debug',
      'rounds.ini:8 [job a] logging.level: holds for all jobs; write level in [logging]',
    ],
    [
      '[environment x]\nendpiont = https://a.example',
      'rounds.ini:8 [environment x] endpiont: there is no such key in an environment; did you mean endpoint?',
    ],
  ])('refuses %j', async (text, problem) => {
    expect(await problemsOf(withSection(text))).toEqual([problem]);
  });

  it('refuses a key before the first section', async () => {
    expect(await problemsOf(`page_size = 5\n${MINIMAL}`)).toEqual([
      'rounds.ini:1: page_size stands before the first section; write a line such as [paths] above it',
    ]);
  });

  it('lists all problems at once, by line', async () => {
    const problems = await problemsOf(
      '[paths]\nlog_folder = ~/x\n[api_settings]\npage_size = 0\nmax_page = 3\n',
      {
        FHIR_ROUNDS_API_SETTINGS_PAGE_SISE: '4',
      },
    );
    expect(problems.map((problem) => problem.split(': ')[0])).toEqual([
      'rounds.ini:2 [paths] log_folder',
      'rounds.ini:4 [api_settings] page_size',
      'rounds.ini:5 [api_settings] max_page',
      'environment FHIR_ROUNDS_API_SETTINGS_PAGE_SISE',
      'rounds.ini [paths] private_key',
      'rounds.ini [oauth_settings] client_id',
      'rounds.ini [epic_settings] epic_endpoint',
    ]);
  });
});
