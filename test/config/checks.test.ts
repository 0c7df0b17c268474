import { chmod } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { MINIMAL, load, problemsOf, settingsOf, writeFiles } from './support.ts';

describe('folders', () => {
  it('are relative to the INI’s folder, or to the one above config', async () => {
    const folder = await writeFiles({ 'config/rounds.ini': MINIMAL, 'site/rounds.ini': MINIMAL });
    const inConfig = await loadConfig({ file: 'config/rounds.ini', cwd: folder, env: {} });
    expect(inConfig.jobs[0]!.settings.paths.log_folder).toBe(path.join(folder, 'logs'));
    expect(inConfig.file).toBe(path.join(folder, 'config', 'rounds.ini'));
    const inSite = await loadConfig({ file: path.join(folder, 'site', 'rounds.ini'), env: {} });
    expect(inSite.jobs[0]!.settings.paths.log_folder).toBe(path.join(folder, 'site', 'logs'));
  });

  it('are relative to app_folder_name, also through a reference to it', async () => {
    const ini = '[paths]\napp_folder_name = ../app\nepic_data_export_folder = ${app_folder_name}/out\n';
    const folder = await writeFiles({ 'etc/rounds.ini': ini + MINIMAL.replace('[paths]\n', '') });
    const { paths } = (await loadConfig({ file: 'etc/rounds.ini', cwd: folder, env: {} })).jobs[0]!.settings;
    expect(paths.app_folder_name).toBe(path.join(folder, 'app'));
    expect(paths.epic_data_export_folder).toBe(path.join(folder, 'app', 'out'));
    expect(paths.private_key).toBe(path.join(folder, 'app', 'key.pem'));
  });

  it.each([
    ['state_folder = exports/state', 'holds state_folder'],
    ['state_folder = exports', 'lies in state_folder'],
    ['log_folder = exports/logs', 'holds log_folder'],
    ['epic_data_export_folder = logs/exports', 'lies in log_folder'],
    ['epic_data_export_folder = .', 'holds state_folder'],
  ])('refuses %s', async (line, what) => {
    expect((await problemsOf(`${MINIMAL}[paths]\n${line}\n`)).join('\n')).toContain(what);
  });

  it('takes neighbours with a common beginning', async () => {
    const settings = await settingsOf(
      `${MINIMAL}[paths]\nlog_folder = exports-logs\nstate_folder = ..state\n`,
    );
    expect(path.basename(settings.paths.state_folder)).toBe('..state');
  });

  it('refuses to publish among another job’s runs', async () => {
    const jobs = '[job a]\npaths.epic_data_export_folder = exports/b\n[job b]\n';
    const [problem, ...others] = await problemsOf(`${MINIMAL}${jobs}`);
    expect(others).toEqual([]);
    expect(problem).toMatch(
      /^rounds\.ini:8 \[job a\] paths\.epic_data_export_folder: lies among the runs of job b \(.*\/exports\/b\); write another$/,
    );
  });
});

describe('mail', () => {
  const MAIL =
    '[email]\nnotification_from = Rounds <a@b.example>\nnotification_to = c@d.example, e@f.example\n';

  it('is off without its section', async () => {
    expect((await settingsOf(MINIMAL)).email).toBeUndefined();
  });

  it('has Proton Mail Bridge’s defaults', async () => {
    const settings = await settingsOf(`${MINIMAL}${MAIL}smtp_user = u\nsmtp_pass = p\n`);
    expect(settings.email).toMatchObject({
      smtp_host: '127.0.0.1',
      smtp_port: 1025,
      smtp_secure: 'starttls',
      smtp_auth: 'login',
      notification_from: 'Rounds <a@b.example>',
      notification_to: ['c@d.example', 'e@f.example'],
      notify_on: 'always',
    });
  });

  it('needs sender, receiver and login as soon as the section is there', async () => {
    expect(await problemsOf(`${MINIMAL}[email]\n`)).toEqual([
      'rounds.ini [email] notification_from: is not set; write notification_from = rounds@proton.me',
      'rounds.ini [email] notification_to: is not set; write notification_to = oncall@hospital.example, data@hospital.example',
    ]);
    expect(await problemsOf(`${MINIMAL}${MAIL}`)).toEqual([
      'rounds.ini [email] smtp_user: is not set; write smtp_user, or smtp_auth = none',
      'rounds.ini [email] smtp_pass: is not set; write smtp_pass or smtp_pass_file, or smtp_auth = none',
    ]);
  });

  it.each([
    [
      'notification_to = c@d.example, nobody',
      'has "nobody", which is no mail address; write name@host.example',
    ],
    [
      'notification_to = c d@e.example',
      'has "c d@e.example", which is no mail address; write name@host.example',
    ],
    [
      'notification_from = a@b.example>',
      'has "a@b.example>", which is no mail address; write name@host.example',
    ],
    [
      'notification_from = "a@b.example\\r\\nBcc: x@y.example"',
      'in double quotes a backslash and a letter become one control character',
    ],
    [
      'smtp_secure = none\nsmtp_host = mail.example',
      'would send the report in clear over the network; write starttls or tls',
    ],
  ])('refuses %j', async (lines, what) => {
    const key = /^\w+/.exec(lines)![0];
    const ini = `${MINIMAL}${MAIL.replace(new RegExp(`${key}.*\n`), '')}smtp_auth = none\n${lines}\n`;
    const [problem, ...others] = await problemsOf(ini);
    expect(others).toEqual([]);
    expect(problem).toContain(`[email] ${key}: ${what}`);
  });

  it('may go in clear to this machine', async () => {
    const settings = await settingsOf(`${MINIMAL}${MAIL}smtp_auth = none\nsmtp_secure = none\n`);
    expect(settings.email?.smtp_secure).toBe('none');
  });

  it('warns that Bridge’s certificate does not name localhost', async () => {
    const { warnings } = await load(`${MINIMAL}${MAIL}smtp_auth = none\nsmtp_host = localhost\n`);
    expect(warnings.join()).toContain('write 127.0.0.1');
  });

  it.runIf(process.platform !== 'win32')('warns when others can read a password', async () => {
    const folder = await writeFiles({ 'rounds.ini': `${MINIMAL}${MAIL}smtp_user = u\nsmtp_pass = Zz\n` });
    const file = path.join(folder, 'rounds.ini');
    expect((await loadConfig({ file, env: {} })).warnings).toEqual([]);
    await chmod(file, 0o644);
    expect((await loadConfig({ file, env: {} })).warnings).toEqual([
      `${file}: others can read smtp_pass here; chmod 600 ${file}`,
    ]);
  });
});

describe('bulk', () => {
  it('needs a group', async () => {
    expect(await problemsOf(`${MINIMAL}[job b]\nmethod = bulk\n`)).toEqual([
      'rounds.ini [bulk] group_id: is not set; method = bulk with level = group needs the id of the group',
    ]);
    const { jobs } = await load(
      `${MINIMAL}[job b]\nmethod = BULK\nbulk.group_id = g\nbulk.types = Patient, Group\n`,
    );
    expect(jobs[0]).toMatchObject({
      method: 'bulk',
      settings: { bulk: { group_id: 'g', types: ['Patient', 'Group'] } },
    });
  });
});

describe('attachments', () => {
  it('are of MIME types', async () => {
    const types = (list: string): string => `${MINIMAL}[attachments]\ntypes = ${list}\n`;
    const { jobs } = await load(types('text/*, Application/PDF, image/svg+xml'));
    expect(jobs[0]!.settings.attachments).toEqual({
      download: false,
      types: ['text/*', 'Application/PDF', 'image/svg+xml'],
      max_megabytes: 50,
    });
    for (const wrong of ['pdf', '*/*', '*.pdf', 'text/', 'text/h*']) {
      expect(await problemsOf(types(`text/html, ${wrong}`))).toEqual([
        `rounds.ini:8 [attachments] types: has "${wrong}"; write MIME types such as text/*, application/pdf`,
      ]);
    }
  });
});

describe('peak hours', () => {
  const api = (lines: string): string => `${MINIMAL}[api_settings]\n${lines}\n`;

  it('take lower limits', async () => {
    const lines = 'peak_hours = 07:00-19:00\npeak_concurrency = 2\npeak_requests_per_second = 0.5';
    expect((await settingsOf(api(lines))).api_settings).toMatchObject({
      concurrency: 5,
      peak_hours: '07:00-19:00',
      peak_concurrency: 2,
      peak_requests_per_second: 0.5,
    });
  });

  it.each([
    ['peak_hours = 07:00-19:00\npeak_concurrency = 6', 'is more than concurrency; write at most 5'],
    [
      'peak_hours = 07:00-19:00\nrequests_per_second = 3\npeak_requests_per_second = 4',
      'is more than requests_per_second; write at most 3',
    ],
    ['peak_concurrency = 2', 'is not set, and so the limits for it never hold'],
    ['peak_hours = 07:00-19:00', 'changes nothing without peak_concurrency'],
    ['peak_hours = from 7 to 19\npeak_concurrency = 2', 'is no list of hours'],
  ])('refuse %j', async (lines, what) => {
    expect((await problemsOf(api(lines))).join('\n')).toContain(what);
  });
});

describe('the address of a ping', () => {
  const SECRET = 'https://hc.example/5f0c3a51-secret';

  it('is a secret, in the INI or in a file', async () => {
    expect((await load(`${MINIMAL}[notify]\nping_url = ${SECRET}\n`)).secrets).toEqual([SECRET]);
    const folder = await writeFiles({
      'rounds.ini': `${MINIMAL}[notify]\nping_url_file = ping\n`,
      ping: `${SECRET}\n`,
    });
    const { secrets } = await loadConfig({ file: path.join(folder, 'rounds.ini'), env: {} });
    expect(secrets).toEqual([SECRET]);
  });

  it('is a URL over https in both, and is not quoted when it is none', async () => {
    expect((await problemsOf(`${MINIMAL}[notify]\nping_url = http://hc.example/uuid\n`)).join()).toMatch(
      /\[notify\] ping_url: is plain http/,
    );
    const folder = await writeFiles({
      'rounds.ini': `${MINIMAL}[notify]\nping_url_file = ping\n`,
      ping: 'not-a-url-but-secret\n',
    });
    const loading = loadConfig({ file: path.join(folder, 'rounds.ini'), env: {} });
    await expect(loading).rejects.toThrow(/ping_url_file: names .*, whose text is no URL/);
    await expect(loading).rejects.not.toThrow(/but-secret/);
  });
});
