import type { CertificateThumbprint } from '../../auth/certificate.ts';
import type { JwkSet } from '../../auth/jwks.ts';
import { keyThumbprint } from '../../auth/keys.ts';
import type { JobConfig } from '../../config/schema.ts';
import { RoundsError } from '../../errors.ts';
import type { Step } from '../../views/checkStep.ts';
import type { EpicApi } from '../../views/epicApis.ts';
import type { EpicStep } from '../../views/epicSteps.ts';
import { createPublicKey, type JsonWebKey } from 'node:crypto';
import { copied } from '../api/apiResult.ts';
import type { Ask } from '../exchange.ts';
import { environmentBadge } from '../gateway/environment.ts';
import { html, localHref, type Html, type HtmlValue } from '../html.ts';
import { csrfField, page } from '../page.ts';
import { withCode } from '../withCode.ts';

/** What the page shows of a job; an error where a part cannot be read. */
export interface Shown {
  readonly job: JobConfig;
  readonly keys: JwkSet | RoundsError;
  readonly certificatePem: string | undefined;
  readonly certificate: CertificateThumbprint | RoundsError | undefined;
  readonly atEpic: readonly EpicStep[];
  readonly apis: readonly EpicApi[] | RoundsError;
  /** Of the token test, once it was asked for. */
  readonly steps: readonly Step[] | undefined;
}

export function registrationPage(ask: Ask, jobs: readonly JobConfig[], shown: Shown): Html {
  const { job } = shown;
  return page(ask, {
    title: 'Registration',
    place: 'registration',
    aside: html`<p class="badges">${environmentBadge(job)}</p>`,
    main: html`${jobs.length > 1 && jobLinks(jobs, job)} ${testSection(ask, shown)} ${clientSection(job)}
    ${keysSection(shown)} ${certificateSection(shown)} ${epicSection(shown)}`,
  });
}

function jobLinks(jobs: readonly JobConfig[], chosen: JobConfig): Html {
  return html`<nav aria-label="Jobs">
    <ul class="choices row">
      ${jobs.map(
        (job) =>
          html`<li>
            <a
              href="${localHref(['registration'], { job: job.jobName })}"
              ${job === chosen && html` aria-current="true"`}
              >${job.jobName}</a
            >
          </li>`,
      )}
    </ul>
  </nav>`;
}

const VERDICTS = { ok: 'ok', warning: 'look', problem: 'problem', skipped: 'skipped' } as const;
const TONES = { ok: 'ok', warning: 'warn', problem: 'bad', skipped: 'muted' } as const;

function testSection(ask: Ask, { job, steps }: Shown): Html {
  const isGood = steps?.every(({ verdict }) => verdict === 'ok' || verdict === 'skipped');
  return html`<section class="sheet" aria-labelledby="test">
    <h2 id="test">Token test</h2>
    <p>
      From the key to a token: the key, what is published of it, the clock, the token endpoint and the scopes.
      The token is shown to nobody.
    </p>
    <form method="post" action="/registration/test">
      ${csrfField(ask)}<input type="hidden" name="job" value="${job.jobName}" /><button class="main">
        Test the registration
      </button>
    </form>
    ${
      steps &&
      html`<p role="status" class="note ${isGood ? '' : 'bad'}">
          <strong>${isGood ? 'All is well.' : 'Not all is well: mend the first problem first.'}</strong>
        </p>
        <ol class="checks">
          ${steps.map(
            ({ step, verdict, detail, hint }) =>
              html`<li class="${TONES[verdict]}">
                <p><strong>${step}</strong> <span class="verdict">${VERDICTS[verdict]}</span></p>
                <p>${detail}</p>
                ${hint !== undefined && html`<p class="muted">${withCode(hint)}</p>`}
              </li>`,
          )}
        </ol>`
    }
  </section>`;
}

function clientSection({ settings }: JobConfig): Html {
  const { oauth_settings: oauth, epic_settings: epic, jwt_settings: jwt, paths } = settings;
  return html`<section class="sheet" aria-labelledby="client">
    <h2 id="client">Client</h2>
    ${facts([
      ['Client ID', oauth.client_id],
      ['FHIR base', epic.epic_endpoint],
      ['Token endpoint', oauth.token_endpoint ?? 'as the FHIR server names it'],
      ['Environment', epic.environment ?? 'none named'],
      ['Signature', jwt.jwt_algorithm],
      ['Scopes asked for', oauth.scope ?? 'none: Epic derives them from the registered APIs'],
      ['Private key', paths.private_key],
    ])}
  </section>`;
}

function keysSection({ job, keys }: Shown): Html {
  return html`<section class="sheet" aria-labelledby="jwks">
    <h2 id="jwks">Public keys (JWKS)</h2>
    ${
      keys instanceof RoundsError
        ? trouble(keys)
        : html`${facts(
              keys.keys.flatMap((jwk): Fact[] => [
                ['Key ID (kid)', html`<code>${jwk.kid}</code>`],
                ['Thumbprint (RFC 7638)', html`<code>${thumbprintOf(jwk)}</code>`],
              ]),
            )}
            ${copied('jwks-text', 'the JWKS', JSON.stringify(keys, undefined, 2))}
            <p><a href="${localHref(['jwks'], { job: job.jobName })}">As Epic would get it</a></p>
            <p class="muted">
              ${withCode(
                'Best hosted as a file: `fhir-rounds keys jwks --out FILE` writes it for any web server. `fhir-rounds console --jwks-only` serves /jwks and /.well-known/jwks.json alone, from public keys only. Epic may keep an older JWKS for up to 29 hours.',
              )}
            </p>`
    }
  </section>`;
}

function certificateSection({ job, certificate, certificatePem }: Shown): Html {
  return html`<section class="sheet" aria-labelledby="certificate">
    <h2 id="certificate">Certificate</h2>
    ${
      certificate === undefined
        ? html`<p>
            ${withCode(
              'There is none. Where the site still takes uploads, `fhir-rounds keys certificate` makes one; a JWKS needs none.',
            )}
          </p>`
        : certificate instanceof RoundsError
          ? trouble(certificate)
          : html`${facts([
                ['Thumbprint as Epic shows it (SHA-1)', html`<code>${certificate.sha1}</code>`],
                ['Thumbprint (SHA-256)', html`<code>${certificate.sha256}</code>`],
                ['Good until', certificate.notAfter.slice(0, 10)],
              ])}
              ${copied('certificate-text', 'the certificate', certificatePem ?? '')}
              <p>
                <a href="${localHref(['registration', 'certificate'], { job: job.jobName })}">Download it</a>
              </p>`
    }
  </section>`;
}

function epicSection({ atEpic, apis }: Shown): Html {
  return html`<section class="sheet" aria-labelledby="epic">
    <h2 id="epic">In Epic’s portal</h2>
    <ol class="steps">
      ${atEpic.map(
        ({ text, ways }) =>
          html`<li>
            ${text}
            ${
              ways.length > 0 &&
              html`<ul>
                ${ways.map((way) => html`<li>${withCode(way)}</li>`)}
              </ul>`
            }
          </li>`,
      )}
    </ol>
    <h3>APIs to tick</h3>
    ${
      apis instanceof RoundsError
        ? trouble(apis)
        : html`<p class="muted">
              For the resource list as it is. Names as the portal had them lately; it renames some, and those
              marked are a guess.
            </p>
            <ul class="apis">
              ${apis.map(
                ({ name, certainty }) =>
                  html`<li>${name}${certainty === 'L' && html` <span class="muted">(a guess)</span>`}</li>`,
              )}
            </ul>`
    }
  </section>`;
}

type Fact = readonly [name: string, value: HtmlValue];

function facts(given: readonly Fact[]): Html {
  return html`<dl class="facts wide">
    ${given.map(
      ([name, value]) =>
        html`<dt>${name}</dt>
          <dd>${value}</dd>`,
    )}
  </dl>`;
}

function trouble({ code, message, hint }: RoundsError): Html {
  return html`<p class="note warn"><strong>${code}</strong> ${message}</p>
    <p class="muted">${withCode(hint)}</p>`;
}

function thumbprintOf(jwk: JwkSet['keys'][number]): string {
  return keyThumbprint(createPublicKey({ key: jwk as unknown as JsonWebKey, format: 'jwk' }));
}
