import { readFile } from 'node:fs/promises';
import { certificateThumbprint, type CertificateThumbprint } from '../auth/certificate.ts';
import type { JwkSet } from '../auth/jwks.ts';
import type { JobConfig } from '../config/schema.ts';
import { asRoundsError, type RoundsError } from '../errors.ts';
import { readResourceList } from '../inputs/resourceList.ts';
import { exists } from '../system/files.ts';
import { epicApis, type EpicApi } from '../views/epicApis.ts';
import { epicSteps } from '../views/epicSteps.ts';
import type { Step } from '../views/checkStep.ts';
import { download, htmlAnswer, notFound, type Answer, type Ask, type Route } from './exchange.ts';
import { jobNamed } from './gateway/guard.ts';
import { publishedKeys } from './jwks.ts';
import type { ConsoleParts } from './parts.ts';
import { registrationPage, type Shown } from './registration/registrationPage.ts';
import { testRegistration } from './registration/tokenTest.ts';
import type { Site } from './site.ts';

/** The Registration page: what Epic has to be given, and whether it took it. The private key is read by the test alone. */
export function registrationRoutes(site: Site, parts: Pick<ConsoleParts, 'openTokens'>): readonly Route[] {
  const show = async (ask: Ask, jobName: string | undefined, steps?: readonly Step[]): Promise<Answer> => {
    const { jobs, file } = site.config();
    const job = jobNamed(site, jobName ?? jobs[0]?.jobName);
    const shown = await shownOf(job, file);
    return htmlAnswer(registrationPage(ask, jobs, { ...shown, steps }));
  };
  return [
    {
      method: 'GET',
      path: '/registration',
      answer: (ask) => show(ask, ask.url.searchParams.get('job') ?? undefined),
    },
    {
      method: 'POST',
      path: '/registration/test',
      answer: async (ask) => {
        const job = jobNamed(site, (await ask.form()).get('job') ?? undefined);
        const steps = await testRegistration(job, parts.openTokens, site.clock, ask.signal);
        return show(ask, job.jobName, steps);
      },
    },
    {
      method: 'GET',
      path: '/registration/certificate',
      answer: async ({ url }) => {
        const pem = await certificateOf(jobNamed(site, url.searchParams.get('job') ?? undefined));
        if (pem === undefined) throw notFound('there is no certificate', CERTIFICATE_HINT);
        return download('certificate.pem', 'application/x-pem-file', pem);
      },
    },
  ];
}

const CERTIFICATE_HINT = 'Make one with `fhir-rounds keys certificate`, and name it in [paths] certificate.';

async function shownOf(job: JobConfig, iniFile: string): Promise<Omit<Shown, 'steps'>> {
  const { certificate: file } = job.settings.paths;
  const certificatePem = await certificateOf(job);
  const certificate = await tried(async (): Promise<CertificateThumbprint | undefined> =>
    certificatePem === undefined ? undefined : certificateThumbprint(certificatePem),
  );
  const thumbprint = certificate !== undefined && 'sha1' in certificate ? certificate.sha1 : undefined;
  return {
    job,
    keys: await tried((): Promise<JwkSet> => publishedKeys(job)),
    certificatePem,
    certificate,
    atEpic: epicSteps({
      iniFile,
      certificateFile: file ?? 'the certificate that `fhir-rounds keys certificate --out FILE` makes',
      thumbprint,
      isConfigured: file !== undefined,
    }),
    apis: await tried(async (): Promise<readonly EpicApi[]> =>
      epicApis(await readResourceList(job.settings.data_sources.epic_sandbox_resources)),
    ),
  };
}

async function certificateOf({ settings }: JobConfig): Promise<string | undefined> {
  const file = settings.paths.certificate;
  if (file === undefined || !(await exists(file))) return undefined;
  const pem = await readFile(file, 'utf8');
  // The private key that may stand beside it is nobody's to see.
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n?/g);
  if (blocks !== null) return blocks.join('');
  return /PRIVATE KEY/.test(pem) ? undefined : pem;
}

/** A part of the page that cannot be shown is no reason to show nothing. */
async function tried<T>(work: () => Promise<T>): Promise<T | RoundsError> {
  try {
    return await work();
  } catch (thrown) {
    const error = asRoundsError(thrown);
    if (error.code === 'INTERNAL') throw thrown;
    return error;
  }
}
