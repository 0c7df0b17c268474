import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { format, resolveConfig } from 'prettier';
import { expect, it } from 'vitest';
import { CAUSES } from '../../src/commands/causes.ts';
import { ERROR_CODES, type ErrorCode } from '../../src/errors.ts';
import { ROOT } from './markdown.ts';

/** What operators meet; `explain` has the others. */
const MET: readonly ErrorCode[] = [
  'TOKEN_INVALID_CLIENT',
  'TOKEN_REFUSED',
  'HTTP_FORBIDDEN',
  'FHIR_ACCESS_DENIED',
  'FHIR_PARAMETER_REFUSED',
  'FHIR_DOCUMENT_QUOTA',
  'TLS_UNTRUSTED',
  'KEY_EXPOSED',
  'PATH_EXPOSED',
  'LOCK_HELD',
  'ROSTER_SHRUNK',
  'RUN_NOT_RESUMABLE',
  'SERVER_AWAY',
  'DISK_FULL',
  'MAIL_LOGIN_REFUSED',
];
const README = path.join(ROOT, 'README.md');
const MARKS = /(<!-- codes:start -->\n)[^]*?(<!-- codes:end -->)/;

it('the README’s Troubleshooting says what `explain` says (UPDATE_DOCS=1 writes it)', async () => {
  const rows = MET.map((code) => `| \`${code}\` | ${CAUSES[code]} | ${ERROR_CODES[code].hint} |`);
  const table = ['| it says | because | do |', '| --- | --- | --- |', ...rows].join('\n');
  const text = readFileSync(README, 'utf8');
  expect(text).toMatch(MARKS);
  const wanted = text.replace(MARKS, (_, start: string, end: string) => `${start}\n${table}\n\n${end}`);
  const formatted = await format(wanted, { ...(await resolveConfig(README)), parser: 'markdown' });
  if (process.env['UPDATE_DOCS']) writeFileSync(README, formatted);
  else expect(text).toBe(formatted);
});
