import { readFile } from 'node:fs/promises';
import { openMailer } from '../compose.ts';
import type { JobConfig } from '../config/schema.ts';
import { mailCertificateEnd } from '../report/mailCertificate.ts';
import type { Clock } from '../system/clock.ts';
import type { Teller } from '../views/checkStep.ts';

const DAY_MS = 86_400_000;
const WARN_DAYS = 30;

/** Logs in at the mail server and looks at its certificate; sends nothing. */
export async function checkMail(job: JobConfig, clock: Clock, to: Teller): Promise<void> {
  const { email } = job.settings;
  if (email === undefined) {
    to.tell('mail', 'warning', 'the INI has no [email] section, so nobody is told how runs end');
    return;
  }
  const reached = await to.attempt('mail', async () => {
    const mailer = await openMailer(job);
    try {
      await mailer!.verify();
    } finally {
      mailer!.close();
    }
    const login = email.smtp_auth === 'none' ? 'no login asked for' : 'login accepted';
    return {
      value: true,
      detail: `${email.smtp_host}:${email.smtp_port}, ${email.smtp_secure}, ${login}; nothing was sent`,
    };
  });
  if (reached === undefined || email.smtp_secure === 'none') return;
  const caPem = email.smtp_tls_ca === undefined ? undefined : await readFile(email.smtp_tls_ca, 'utf8');
  const endsMs = await mailCertificateEnd({
    host: email.smtp_host,
    port: email.smtp_port,
    secure: email.smtp_secure,
    caPem,
  });
  if (endsMs === undefined) return;
  const days = Math.floor((endsMs - clock.now()) / DAY_MS);
  const detail = `good for ${days} more days`;
  if (days > WARN_DAYS) to.tell('mail certificate', 'ok', detail);
  else
    to.tell(
      'mail certificate',
      'warning',
      detail,
      'Renew it; for Proton Bridge export it again and name it in [email] smtp_tls_ca.',
    );
}
