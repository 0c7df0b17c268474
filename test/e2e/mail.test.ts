import { writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { startSmtpServer } from '../../src/sandbox/smtp.ts';
import { newestRun, runsOf } from '../support/publishedRun.ts';
import { siteForTest } from '../support/site.ts';

const sandbox = { patients: 2 } as const;

/** Waiting mails as `status` tells. */
interface Status {
  readonly outbox: { readonly mails: number; readonly held: number; readonly lastCode?: string };
}

describe('the report', () => {
  it('arrives over STARTTLS, as text and as HTML', async () => {
    const site = await siteForTest({ sandbox });
    expect((await site.run(['run'])).code).toBe(0);
    const { mails, logins } = site.sandbox.smtp!;
    expect(mails).toHaveLength(1);
    const { secure, from, to, subject, raw } = mails[0]!;
    expect({ secure, to }).toEqual({ secure: true, to: ['oncall@hospital.example'] });
    expect(from).toBe(site.sandbox.smtp!.user);
    expect(logins).toEqual([{ secure: true, accepted: true }]);
    const published = await newestRun(site);
    expect(subject).toMatch(/^OK default: \d+ resources of 2 patients/);
    expect(subject).toContain(published.runId);
    expect(raw).toMatch(/^Content-Type: multipart\/alternative/m);
    expect(raw).toMatch(/^Content-Type: text\/plain; charset=utf-8/im);
    expect(raw).toMatch(/^Content-Type: text\/html; charset=utf-8/im);
  });

  it('waits in the outbox while the mail server is away, does not fail the run, and goes out with the next', async () => {
    const site = await siteForTest({ sandbox });
    const { port, identity, user, pass } = site.sandbox.smtp!;
    await site.sandbox.smtp!.close();
    const first = await site.run(['run']);
    expect(first.code).toBe(0);
    expect(first.stderr).toContain('1 mail waits in the outbox (MAIL_UNREACHABLE)');
    const firstRun = await newestRun(site);
    const status = JSON.parse((await site.run(['status', '--json'])).stdout) as Status;
    expect(status.outbox).toMatchObject({ mails: 1, held: 0, lastCode: 'MAIL_UNREACHABLE' });

    const smtp = await startSmtpServer({ port, identity, user, pass });
    try {
      const second = await site.run(['run']);
      expect(second.code).toBe(0);
      const secondRun = await newestRun(site);
      const runIds = smtp.mails.map(({ subject }) => /\[(.*)\]/.exec(subject)?.[1]);
      expect(runIds).toEqual([firstRun.runId, secondRun.runId]);
    } finally {
      await smtp.close();
    }
  });

  it('is held after a wrong password, tried once, and sent when the settings change', async () => {
    const site = await siteForTest({ sandbox });
    const { smtp } = site.sandbox;
    await writeFile(site.path('smtp-pass'), 'not-the-password\n', { mode: 0o600 });
    const first = await site.run(['run']);
    expect(first.code).toBe(0);
    expect(smtp!.mails).toHaveLength(0);
    expect(smtp!.logins).toHaveLength(1);
    const status = await site.run(['status', '--json']);
    expect((JSON.parse(status.stdout) as Status).outbox).toMatchObject({
      held: 1,
      lastCode: 'MAIL_LOGIN_REFUSED',
    });
    expect(first.stderr + first.stdout + status.stdout).not.toContain('not-the-password');

    await writeFile(site.path('smtp-pass'), `${smtp!.pass}\n`, { mode: 0o600 });
    expect((await site.run(['run'])).code).toBe(0);
    expect(smtp!.mails).toHaveLength(2);
    const [held, next] = await runsOf(site);
    expect(smtp!.mails.map(({ subject }) => subject.slice(subject.indexOf('[')))).toEqual([
      `[${held}]`,
      `[${next}]`,
    ]);
  });

  it('is never sent in clear where STARTTLS was stripped', async () => {
    const site = await siteForTest({ sandbox });
    site.sandbox.setFaults([{ match: { endpoint: 'smtp' }, then: { smtpNoStarttls: true } }]);
    expect((await site.run(['run'])).code).toBe(0);
    expect(site.sandbox.smtp!.mails).toHaveLength(0);
    expect(site.sandbox.smtp!.logins).toHaveLength(0);
    const status = await site.run(['status', '--json']);
    expect((JSON.parse(status.stdout) as Status).outbox).toMatchObject({
      mails: 1,
      lastCode: 'MAIL_INSECURE',
    });
  });

  it('stays in the outbox with --no-mail', async () => {
    const site = await siteForTest({ sandbox });
    expect((await site.run(['run', '--no-mail'])).code).toBe(0);
    expect(site.sandbox.smtp!.mails).toHaveLength(0);
    const status = await site.run(['status', '--json']);
    expect((JSON.parse(status.stdout) as Status).outbox.mails).toBe(1);
    expect((await site.run(['run'])).code).toBe(0);
    expect(site.sandbox.smtp!.mails).toHaveLength(2);
  });

  it('is not written where the INI has no [email]', async () => {
    const site = await siteForTest({ sandbox, mail: false });
    expect((await site.run(['run'])).code).toBe(0);
    const status = await site.run(['status', '--json']);
    expect((JSON.parse(status.stdout) as Status).outbox.mails).toBe(0);
  });

  it('comes only when something is wrong with notify_on = problems', async () => {
    const site = await siteForTest({ sandbox, settings: { 'email.notify_on': 'problems' } });
    expect((await site.run(['run'])).code).toBe(0);
    expect(site.sandbox.smtp!.mails).toHaveLength(0);
    site.sandbox.setFaults([
      {
        match: { endpoint: 'search', type: 'Condition', patient: 0 },
        then: { status: 403, outcome: '4130' },
      },
    ]);
    expect((await site.run(['run'])).code).toBe(0);
    expect(site.sandbox.smtp!.mails.map(({ subject }) => subject)).toEqual([
      expect.stringMatching(/^OK .*1 gap/),
    ]);
  });
});
