import path from 'node:path';
import { openStateLedger, openTokenService, type Surroundings } from '../compose.ts';
import type { Config, JobConfig } from '../config/schema.ts';
import { RoundsError } from '../errors.ts';
import { checkAccess } from '../run/preflight.ts';
import { systemClock } from '../system/clock.ts';
import { systemRandom } from '../system/random.ts';
import { silentLog } from '../system/logger.ts';
import { publicKeyFileOf } from '../views/publicKeyFile.ts';
import { chooseJob, EXIT, loadCommandConfig, type CommandContext } from './context.ts';
import { keysCertificate, keysGenerate, keysJwks, type KeyPlace, type KeysResult } from './keys.ts';
import { keysRotate, type RotateStep } from './keysRotate.ts';
import type { RotationWay } from '../auth/rotationState.ts';
import { fetchToken } from '../auth/fetchToken.ts';

/** How the `keys` and `token` commands are called: the INI says where keys lie, a job may have its own. */
export interface KeysCommand {
  readonly jobName: string | undefined;
}

export async function generateCommand(
  command: KeysCommand & { readonly kind: 'RSA' | 'EC' },
  context: CommandContext,
): Promise<number> {
  const job = await jobOf(command, context);
  const { rsa_settings: rsa } = job.settings;
  const spec =
    command.kind === 'EC'
      ? ({ kind: 'EC', curve: 'P-384' } as const)
      : ({ kind: 'RSA', bits: rsa.rsa_key_size } as const);
  const place = placeOf(job);
  return print(
    await keysGenerate({
      ...place,
      spec,
      publicKeyFile: publicKeyFileOf(job),
    }),
    context,
  );
}

export async function jwksCommand(
  command: KeysCommand & { readonly outFile: string | undefined },
  context: CommandContext,
): Promise<number> {
  const job = await jobOf(command, context);
  const result = await keysJwks({
    ...placeOf(job),
    outFile: command.outFile && path.resolve(command.outFile),
  });
  if (command.outFile === undefined && !context.json) {
    context.print(JSON.stringify(result.jwks, null, 2));
    return EXIT.complete;
  }
  return print(result, context);
}

export async function certificateCommand(
  command: KeysCommand & {
    readonly outFile: string | undefined;
    readonly commonName: string;
    readonly days: number;
    readonly replace: boolean;
  },
  context: CommandContext,
): Promise<number> {
  const job = await jobOf(command, context);
  const place = placeOf(job);
  const outFile = command.outFile ? path.resolve(command.outFile) : job.settings.paths.certificate;
  if (outFile === undefined) {
    throw new RoundsError(
      'USAGE',
      'say where the certificate goes: --out FILE, or [paths] certificate in the INI',
    );
  }
  return print(
    await keysCertificate({
      ...place,
      outFile,
      subjectCommonName: command.commonName,
      days: command.days,
      replace: command.replace,
      clock: systemClock,
    }),
    context,
  );
}

export async function rotateCommand(
  command: KeysCommand & {
    readonly jwksFile: string | undefined;
    readonly way: RotationWay;
    readonly step: RotateStep;
    readonly now: boolean;
    readonly commonName: string;
    readonly days: number;
  },
  context: CommandContext,
): Promise<number> {
  const job = await jobOf(command, context);
  const place = placeOf(job);
  const around = surroundings(context);
  return print(
    await keysRotate({
      ...place,
      step: command.step,
      way: command.way,
      now: command.now,
      publicKeyFile: publicKeyFileOf(job),
      jwksFile: command.jwksFile && path.resolve(command.jwksFile),
      certificateName: command.commonName,
      certificateDays: command.days,
      clock: systemClock,
      proveToken: async (key, keyId) => {
        const access = await checkAccess(job, context.signal);
        const tokens = await openTokenService(job, { ...access, key, keyId }, around);
        try {
          await tokens.source.getAccessToken();
        } finally {
          await tokens.close();
        }
      },
    }),
    context,
  );
}

/** `token [--out FILE]`: one access token, audited; on stdout it is the only line. */
export async function tokenCommand(
  command: KeysCommand & { readonly outFile: string | undefined },
  context: CommandContext,
): Promise<number> {
  const config = await loadCommandConfig(context);
  const job = chooseJob(config, command.jobName);
  const access = await checkAccess(job, context.signal);
  const tokens = await openTokenService(job, access, surroundings(context));
  try {
    const result = await fetchToken({
      source: tokens.source,
      audit: () => auditToken(config, job, context),
      ...(command.outFile === undefined ? {} : { outFile: path.resolve(command.outFile) }),
    });
    if (context.json) context.print(JSON.stringify(result));
    else if (result.accessToken !== undefined) context.print(result.accessToken);
    if (!context.quiet && !context.json) {
      const where = result.file === undefined ? '' : `written to ${result.file}; `;
      const scopes = result.grantedScopes?.join(' ') ?? 'not said by the server';
      context.note(`${where}good for ${result.expiresInSeconds} s; scopes: ${scopes}`);
    }
    return EXIT.complete;
  } finally {
    await tokens.close();
  }
}

/** A token opens what a run opens, so that it is handed out stands where runs stand. */
async function auditToken(config: Config, job: JobConfig, context: CommandContext): Promise<void> {
  const state = await openStateLedger(config, surroundings(context), context.note);
  try {
    await state.use(async ({ audit }) => {
      audit.append({
        event: 'token.handed-out',
        atMs: systemClock.now(),
        job: job.jobName,
        server: new URL(job.settings.epic_settings.epic_endpoint).host,
        clientId: job.settings.oauth_settings.client_id,
      });
    });
  } finally {
    state.close();
  }
}

async function jobOf(command: KeysCommand, context: CommandContext): Promise<JobConfig> {
  const config = await loadCommandConfig(context, false);
  return chooseJob(config, command.jobName ?? config.jobs[0]?.jobName);
}

function placeOf(job: JobConfig): KeyPlace {
  const { paths, jwt_settings: jwt } = job.settings;
  if (paths.private_key === '') {
    throw new RoundsError('USAGE', 'the INI does not say where the private key lies', {
      hint: 'Set [paths] private_key = config/private-key.pem',
    });
  }
  return {
    privateKeyFile: paths.private_key,
    algorithm: jwt.jwt_algorithm,
    keyId: jwt.key_id,
    certificateFile: paths.certificate,
  };
}

function surroundings(context: CommandContext): Surroundings {
  return { clock: systemClock, log: silentLog, random: systemRandom, signal: context.signal };
}

function print(result: KeysResult, context: CommandContext): number {
  if (context.json) {
    context.print(JSON.stringify(result));
    return EXIT.complete;
  }
  for (const file of result.files) context.print(`${file.what}: ${file.path}`);
  context.print(`kid: ${result.keyId}`);
  if (result.certificate) {
    context.print(`certificate thumbprint, as Epic shows it: ${result.certificate.sha1}`);
    context.print(`good until ${result.certificate.notAfter}`);
  }
  for (const warning of result.warnings) context.note(`warning: ${warning}`);
  result.nextSteps.forEach((step, index) => context.print(`${index + 1}. ${step}`));
  return EXIT.complete;
}
