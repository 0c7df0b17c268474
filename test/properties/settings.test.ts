import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { redactedSettings } from '../../src/config/view.ts';
import { RoundsError } from '../../src/errors.ts';
import type { Config } from '../../src/config/schema.ts';
import { load, MINIMAL } from '../config/support.ts';

const ini = (lines: string): string =>
  `${MINIMAL}[email]\nnotification_from = a@b.example\nnotification_to = c@d.example\nsmtp_user = rounds\n${lines}\n`;

/** Loads it, or gives what is said against it. */
async function loaded(text: string): Promise<Config | string> {
  try {
    return await load(text);
  } catch (error) {
    if (!(error instanceof RoundsError) || error.code !== 'CONFIG_INVALID') throw error;
    return `${error.message}\n${error.problems.map(({ where, what }) => `${where}: ${what}`).join('\n')}\n${error.stack ?? ''}`;
  }
}

const easy = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9 ._@:/+-]{0,30}[A-Za-z0-9]$/);
const hard = fc.string({
  unit: fc.constantFrom(...'abXY09 ;#=[]"\'\\,.$%&äß李'.split('')),
  minLength: 1,
  maxLength: 24,
});

describe('an INI', () => {
  it('gives back every ordinary value as it was written', async () => {
    await fc.assert(
      fc.asyncProperty(easy, async (value) => {
        const config = await loaded(ini(`smtp_pass = ${value}`));
        if (typeof config === 'string') throw new Error(config);
        expect(config.jobs[0]!.settings.email?.smtp_pass).toBe(value);
      }),
      { numRuns: 40 },
    );
  });

  it('gives back a value in single quotes as it stands between them, or says that it cannot', async () => {
    let taken = 0;
    await fc.assert(
      fc.asyncProperty(hard, async (value) => {
        const config = await loaded(ini(`smtp_pass = '${value}'`));
        if (typeof config === 'string') return;
        taken++;
        expect(config.jobs[0]!.settings.email?.smtp_pass).toBe(value);
      }),
      { numRuns: 80 },
    );
    expect(taken).toBeGreaterThan(20);
  });

  it('never changes an unquoted value in silence: it is taken as it stands, or refused', async () => {
    await fc.assert(
      fc.asyncProperty(hard, async (value) => {
        const config = await loaded(ini(`smtp_pass = ${value}`));
        if (typeof config === 'string') return;
        const trimmed = value.trim();
        const quoted = /^(["'])(.*)\1$/.exec(trimmed)?.[2];
        // A backslash before ; or # is INI's own way to write them.
        const escaped = trimmed.replace(/\\([;#])/g, '$1');
        expect([trimmed, quoted, escaped]).toContain(config.jobs[0]!.settings.email?.smtp_pass);
      }),
      { numRuns: 120 },
    );
  });
});

describe('a secret', () => {
  it('stands in no view of the settings, no warning and no problem', async () => {
    const secret = fc.stringMatching(/^[a-z0-9;#='"$%&-]{8,20}$/).map((text) => `S3cr3t${text}`);
    await fc.assert(
      fc.asyncProperty(
        secret,
        fc.constantFrom('', 'smtp_port = many', 'smtp_prot = 1'),
        async (value, other) => {
          const config = await loaded(ini(`smtp_pass = ${value}\n${other}`));
          const seen =
            typeof config === 'string' ? config : JSON.stringify([redactedSettings(config), config.warnings]);
          expect(seen).not.toContain('S3cr3t');
        },
      ),
      { numRuns: 60 },
    );
  });
});
