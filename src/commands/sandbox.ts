import path from 'node:path';
import { RoundsError } from '../errors.ts';
import { readFaults } from '../sandbox/faults.ts';
import { EPIC_SANDBOX_GROUP, startSandbox, type Sandbox } from '../sandbox/startSandbox.ts';
import { EXIT, type CommandContext } from './context.ts';

export interface SandboxCommand {
  readonly port: number;
  readonly dialect: 'epic' | 'us-core';
  readonly patients: number | undefined;
  readonly seed: number;
  readonly dataDir: string | undefined;
  readonly special: boolean;
  readonly faultsFile: string | undefined;
  readonly latencyMs: number;
  /** How long a bulk export takes. */
  readonly exportSeconds: number;
  /** Epic's wait between two exports of a group; undefined: the dialect's own. */
  readonly groupWaitSeconds: number | undefined;
  readonly tokenLifeSeconds: number;
  readonly smtpPort: number;
  readonly mailFolder: string | undefined;
  readonly clientId: string;
  readonly jwksFile: string | undefined;
  readonly jwksUrl: string | undefined;
}

/** `sandbox`: the sandbox as a server, until it is interrupted. */
export async function sandboxCommand(command: SandboxCommand, context: CommandContext): Promise<number> {
  if (command.jwksFile === undefined && command.jwksUrl === undefined) {
    throw new RoundsError('USAGE', 'name the client’s public keys with --jwks FILE or --jwks-url URL', {
      hint: 'Make them with `fhir-rounds keys jwks --out jwks.json`.',
    });
  }
  const sandbox = await startSandbox({
    port: command.port,
    dialect: command.dialect,
    seed: command.seed,
    special: command.special,
    latencyMs: command.latencyMs,
    tokenLifeSeconds: command.tokenLifeSeconds,
    bulk: {
      seconds: command.exportSeconds,
      ...(command.groupWaitSeconds === undefined ? {} : { groupWaitSeconds: command.groupWaitSeconds }),
    },
    ...(command.patients === undefined ? {} : { patients: command.patients }),
    ...(command.dataDir === undefined ? {} : { dataDir: path.resolve(command.dataDir) }),
    ...(command.faultsFile === undefined ? {} : { faults: await readFaults(command.faultsFile) }),
    smtp: {
      port: command.smtpPort,
      ...(command.mailFolder === undefined ? {} : { folder: path.resolve(command.mailFolder) }),
    },
    clients: [
      {
        clientId: command.clientId,
        ...(command.jwksFile === undefined ? {} : { jwksFile: path.resolve(command.jwksFile) }),
        ...(command.jwksUrl === undefined ? {} : { jwksUrl: command.jwksUrl }),
      },
    ],
  });
  try {
    context.print(context.json ? JSON.stringify(describe(sandbox)) : describeForPeople(sandbox, command));
    await new Promise<void>((resolve) => {
      if (context.signal.aborted) resolve();
      context.signal.addEventListener('abort', () => resolve(), { once: true });
    });
  } finally {
    await sandbox.close();
  }
  return EXIT.complete;
}

function describe(sandbox: Sandbox): object {
  const { fhirBase, tokenEndpoint, patientCount, smtp } = sandbox;
  return {
    fhirBase,
    tokenEndpoint,
    patients: patientCount,
    groupId: EPIC_SANDBOX_GROUP,
    smtp: smtp && {
      host: smtp.host,
      port: smtp.port,
      user: smtp.user,
      pass: smtp.pass,
      certificatePem: smtp.certificatePem,
    },
    pid: process.pid,
  };
}

function describeForPeople(sandbox: Sandbox, command: SandboxCommand): string {
  const { smtp } = sandbox;
  return [
    `sandbox (${command.dialect}), ${sandbox.patientCount} patients; synthetic data only, listening on loopback`,
    `  epic_endpoint   ${sandbox.fhirBase}`,
    `  token_endpoint  ${sandbox.tokenEndpoint}`,
    `  client_id       ${command.clientId}`,
    `  group_id        ${EPIC_SANDBOX_GROUP} (all patients)`,
    ...(smtp
      ? [`  smtp            ${smtp.host}:${smtp.port}, STARTTLS, user ${smtp.user}, password ${smtp.pass}`]
      : []),
    `  oracle          ${sandbox.origin}/__oracle?list=...   mails ${sandbox.origin}/__mails`,
    'Stop it with Ctrl-C.',
  ].join('\n');
}
