import { writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import type { RunSummary } from '../../src/report/summary.ts';
import { startSmtpServer } from '../../src/sandbox/smtp.ts';
import { decodedPart } from '../../src/sandbox/smtpMessage.ts';
import { until } from '../support/cli.ts';
import { newestRun, runsOf } from '../support/publishedRun.ts';
import { listOf, rosterOf, siteForTest, textsBelow, type Site } from '../support/site.ts';

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

  it('tells of trouble at once, and of its end, with notify_on = problems', async () => {
    const site = await siteForTest({
      sandbox,
      settings: { 'email.notify_on': 'problems', 'api_settings.max_attempts': 1 },
    });
    const mailed = (): readonly string[] => site.sandbox.smtp!.mails.map(({ subject }) => subject);
    expect((await site.run(['run'])).code).toBe(0);
    expect(mailed()).toEqual([]);
    site.sandbox.setFaults([
      { match: { endpoint: 'search', type: 'Condition', patient: 0 }, then: { status: 500 } },
    ]);
    expect((await site.run(['run'])).code).toBe(3);
    site.sandbox.setFaults([]);
    expect((await site.run(['run'])).code).toBe(0);
    expect((await site.run(['run'])).code).toBe(0);
    const [first, second, ...others] = mailed();
    expect(first).toMatch(/^PARTIAL 1 of 4 searches failed, default: \d+ resources of 2 patients \[/);
    expect(second).toMatch(/^RECOVERED default: \d+ resources of 2 patients \[/);
    expect(others).toEqual([]);
    const partial = mailText(site, 0);
    expect(partial).toMatch(/Current +\S+, less than a minute old: it did not move/);
    expect(partial).toContain('Last 2 runs: .P (. complete, P partial; this one last)');
  });

  it('comes when a type has more or fewer records, with notify_on = change', async () => {
    const site = await siteForTest({
      sandbox: { patients: 6 },
      settings: { 'email.notify_on': 'change' },
    });
    const all = [0, 1, 2, 3, 4, 5];
    for (const roster of [all, all, all.slice(1), all.slice(1)]) {
      await writeFile(site.rosterFile, rosterOf(site.sandbox, roster));
      expect((await site.run(['run'])).code).toBe(0);
    }
    const [first, , third] = await runsOf(site);
    const runIds = site.sandbox.smtp!.mails.map(({ subject }) => /\[(.*)\]/.exec(subject)?.[1]);
    expect(runIds).toEqual([first, third]);
  });

  it('has on top what is unlike the runs before: fewer records, a new type, a type that is gone', async () => {
    const site = await siteForTest({ sandbox: { patients: 6 }, resources: ['Patient', 'Observation'] });
    expect((await site.run(['run'])).code).toBe(0);
    expect(mailText(site, 0)).not.toContain('Look at this');
    await writeFile(site.rosterFile, rosterOf(site.sandbox, [0, 1]));
    await writeFile(site.resourcesFile, listOf(['Observation', 'Condition']));
    expect((await site.run(['run', '--accept-roster'])).code).toBe(0);
    expect(site.sandbox.smtp!.mails[1]!.subject).toMatch(/^OK default: .* 4 things to look at \[/);
    const text = mailText(site, 1);
    const marks = text.slice(text.indexOf('Look at this'), text.indexOf('Last 2 runs'));
    expect(marks).toContain('! Patient: not pulled any more; the run before had 6.');
    expect(marks).toMatch(/! All types together: fell by \d+ %/);
    expect(marks).toMatch(
      /! Observation: fell by \d+ % to [\d,]+ records; the last complete run had [\d,]+\./,
    );
    expect(marks).toMatch(/! Condition: new, with \d+ records; no run before had any\./);
    const { runId } = await newestRun(site);
    const shown = JSON.parse((await site.run(['show', runId, '--json'])).stdout) as { summary: RunSummary };
    const { disk, credentials, recent, types } = shown.summary;
    expect(disk?.freeBytes).toBeGreaterThan(0);
    expect(credentials?.keySinceMs).toBeGreaterThan(0);
    expect(recent?.map(({ status }) => status)).toEqual(['complete', 'complete']);
    expect(types.every(({ workedMs = 0 }) => workedMs > 0)).toBe(true);
  });

  it('reaches the other recipients when one is refused, and says so', async () => {
    const to = 'gone@hospital.example, Dienst Größe <oncall@hospital.example>';
    const site = await siteForTest({ sandbox, settings: { 'email.notification_to': to } });
    site.sandbox.setFaults([
      { match: { endpoint: 'smtp' }, when: { first: 1 }, then: { smtp: { stage: 'rcpt', code: 550 } } },
    ]);
    const { code, stderr } = await site.run(['run']);
    expect(code).toBe(0);
    expect(stderr).toContain('the mail server refused 1 of the recipients in [email] notification_to');
    expect(site.sandbox.smtp!.mails.map((mail) => mail.to)).toEqual([['oncall@hospital.example']]);
  });

  it('is held by the daemon after a wrong password, and sent by itself when the INI names the right one', async () => {
    const site = await siteForTest({ sandbox, settings: { 'schedule.cron': '0 0 29 2 *' } });
    const { smtp } = site.sandbox;
    await writeFile(site.path('wrong-pass'), 'not-the-password\n', { mode: 0o600 });
    await site.configure({ 'email.smtp_pass_file': 'wrong-pass' });
    expect((await site.run(['run'])).code).toBe(0);
    const { child, ended } = await site.start(['daemon']);
    await until('the daemon watches', async () => (await readLog(site)).includes('schedule.started'));
    expect([smtp!.mails.length, smtp!.logins.length]).toEqual([0, 1]);
    await site.configure({ 'email.smtp_pass_file': 'smtp-pass' });
    await until('the report is mailed', () => smtp!.mails.length === 1);
    child.kill('SIGTERM');
    expect((await ended).code).toBe(0);
    expect(smtp!.logins.map(({ accepted }) => accepted)).toEqual([false, true]);
  });

  it('is held by the daemon after a wrong password, and sent by itself when its file holds the right one', async () => {
    const settings = { 'schedule.cron': '0 0 29 2 *', 'email.smtp_pass_file': 'pass' };
    const site = await siteForTest({ sandbox, settings });
    const { smtp } = site.sandbox;
    await writeFile(site.path('pass'), 'not-the-password\n', { mode: 0o600 });
    expect((await site.run(['run'])).code).toBe(0);
    const { child, ended } = await site.start(['daemon']);
    await until('the daemon watches', async () => (await readLog(site)).includes('schedule.started'));
    expect(smtp!.mails.length).toBe(0);
    await writeFile(site.path('pass'), `${smtp!.pass}\n`, { mode: 0o600 });
    await until('the report is mailed', () => smtp!.mails.length === 1);
    child.kill('SIGTERM');
    expect((await ended).code).toBe(0);
    expect(smtp!.logins.map(({ accepted }) => accepted)).toEqual([false, true]);
  });
});

function mailText(site: Site, at: number): string {
  return decodedPart(site.sandbox.smtp!.mails[at]!.raw, 'text/plain')!.replace(/\s+/g, ' ');
}

async function readLog(site: Site): Promise<string> {
  return [...(await textsBelow(site.logFolder)).values()].join('');
}
