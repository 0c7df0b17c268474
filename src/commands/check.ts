import { connectServer, openMailer, type Surroundings } from '../compose.ts';
import type { JobConfig } from '../config/schema.ts';
import { redactedSettings } from '../config/view.ts';
import { asRoundsError } from '../errors.ts';
import { problemsOfList } from '../fhir/searchRules.ts';
import { oneLine } from '../report/format.ts';
import { makePlan } from '../run/plan.ts';
import { checkAccess, checkInputs, type Access, type Inputs } from '../run/preflight.ts';
import { systemClock } from '../system/clock.ts';
import { systemRandom } from '../system/random.ts';
import { silentLog } from '../system/logger.ts';
import { EXIT, loadCommandConfig, type CommandContext } from './context.ts';

/** One line of the check. */
interface Step {
  readonly job: string;
  readonly step: string;
  readonly verdict: 'ok' | 'warning' | 'problem' | 'skipped';
  readonly detail: string;
  /** What to do. */
  readonly hint?: string;
}

/**
 * `check [--offline]`: configuration, CSVs, key, folders, then token, CapabilityStatement and mail login; each line
 * ok or what to do. Sends no mail and pulls nothing. Exit 0, or 2 when anything is a problem.
 */
export async function checkCommand(
  command: { readonly offline: boolean; readonly settings: boolean },
  context: CommandContext,
): Promise<number> {
  const config = await loadCommandConfig(context);
  const steps: Step[] = [];
  const tell = (step: Step): void => {
    steps.push(step);
    if (!context.json) context.print(lineOf(step));
  };
  if (command.settings) {
    const lines = redactedSettings(config);
    if (context.json) {
      context.print(JSON.stringify(lines));
      return EXIT.complete;
    }
    for (const line of lines)
      context.print(`${line.jobName} [${line.section}] ${line.key} = ${line.value}  (${line.source})`);
    return EXIT.complete;
  }
  for (const job of config.jobs) {
    tell({ job: job.jobName, step: 'configuration', verdict: 'ok', detail: config.file });
    await checkJob(job, command.offline, context, tell);
  }
  if (context.json) context.print(JSON.stringify(steps));
  return steps.some((step) => step.verdict === 'problem') ? EXIT.usage : EXIT.complete;
}

async function checkJob(
  job: JobConfig,
  offline: boolean,
  context: CommandContext,
  tell: (step: Step) => void,
): Promise<void> {
  const attempt = async <T>(
    step: string,
    work: () => Promise<{ value: T; detail: string }>,
  ): Promise<T | undefined> => {
    try {
      const { value, detail } = await work();
      tell({ job: job.jobName, step, verdict: 'ok', detail });
      return value;
    } catch (thrown) {
      context.signal.throwIfAborted();
      const error = asRoundsError(thrown);
      tell({
        job: job.jobName,
        step,
        verdict: 'problem',
        detail: `${error.code}: ${error.message}`,
        hint: error.hint,
      });
      return undefined;
    }
  };
  const access = await attempt('key and folders', async () => {
    const value = await checkAccess(job, context.signal);
    return { value, detail: `${value.key.algorithm}, kid ${value.keyId}` };
  });
  for (const warning of access?.warnings ?? []) {
    tell({ job: job.jobName, step: 'key and folders', verdict: 'warning', detail: warning });
  }
  const inputs = await attempt('roster and list', async () => {
    const value = await checkInputs(job, context.signal);
    const { roster, listed } = value;
    return {
      value,
      detail: `${roster.patients} patients (${roster.mrns} by MRN, ${roster.skipped} rows skipped), ${listed.length} types`,
    };
  });
  if (offline) {
    for (const step of ['token and server', 'mail']) {
      tell({ job: job.jobName, step, verdict: 'skipped', detail: '--offline' });
    }
    return;
  }
  if (access) await checkServer(job, access, inputs, context, attempt, tell);
  await checkMail(job, attempt, tell);
}

type Attempt = <T>(step: string, work: () => Promise<{ value: T; detail: string }>) => Promise<T | undefined>;

async function checkServer(
  job: JobConfig,
  access: Access,
  inputs: Inputs | undefined,
  context: CommandContext,
  attempt: Attempt,
  tell: (step: Step) => void,
): Promise<void> {
  const around: Surroundings = {
    clock: systemClock,
    log: silentLog,
    random: systemRandom,
    signal: context.signal,
  };
  const server = await attempt('token and server', async () => {
    const value = await connectServer(job, access, around, () => undefined);
    const { capability, dialect } = value;
    const software = capability.software?.name ?? 'unnamed software';
    return {
      value,
      detail: `token granted; ${software}, FHIR ${capability.fhirVersion}, ${capability.types.size} types, rules: ${dialect}`,
    };
  });
  if (server === undefined) return;
  try {
    for (const note of server.notes) {
      tell({
        job: job.jobName,
        step: 'scopes',
        verdict: 'warning',
        detail: note,
        hint: 'Tick the missing APIs in the registration.',
      });
    }
    if (inputs === undefined) return;
    const plan = makePlan(inputs.listed, server.capability, server.dialect);
    for (const problem of problemsOfList(inputs.listed, server.capability, server.dialect)) {
      tell({
        job: job.jobName,
        step: `type ${problem.resourceType}`,
        verdict: problem.level === 'error' ? 'problem' : 'warning',
        detail: problem.what,
      });
    }
    const count = plan.searched.length + plan.referenced.length + plan.carried.length;
    tell({
      job: job.jobName,
      step: 'resource types',
      verdict: 'ok',
      detail:
        `${count} of ${inputs.listed.length} offered: ${plan.searched.length} by patient, ` +
        `${plan.referenced.length} by reference, ${plan.carried.length} along with others`,
    });
  } finally {
    await server.close();
  }
}

async function checkMail(job: JobConfig, attempt: Attempt, tell: (step: Step) => void): Promise<void> {
  const { email } = job.settings;
  if (email === undefined) {
    tell({
      job: job.jobName,
      step: 'mail',
      verdict: 'warning',
      detail: 'the INI has no [email] section, so nobody is told how runs end',
    });
    return;
  }
  await attempt('mail', async () => {
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
}

function lineOf({ job, step, verdict, detail, hint }: Step): string {
  const mark = { ok: 'ok      ', warning: 'warning ', problem: 'PROBLEM ', skipped: 'skipped ' }[verdict];
  // A server names its software as it likes, control characters of terminals included.
  return `${mark}${job}: ${step}: ${oneLine(detail)}${hint === undefined ? '' : `\n        ${hint}`}`;
}
