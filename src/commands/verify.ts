import { existsSync, statSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { RoundsError } from '../errors.ts';
import { RUN_ID } from '../publish/layout.ts';
import { MANIFEST } from '../publish/manifest.ts';
import { fingerprint } from '../publish/publish.ts';
import { readManifest, verifyFolder } from '../publish/verify.ts';
import { AUDIT_FILE, type AuditHead } from '../run/audit.ts';
import { verifyAudit, type AuditEvidence, type AuditWitness } from '../run/auditVerify.ts';
import { placeOf } from '../run/jobPlace.ts';
import { openLedgerForReading } from '../run/ledger.ts';
import { chooseRun, folderOf, withLedger } from '../views/chooseRun.ts';
import { EXIT, loadCommandConfig, type CommandContext } from './context.ts';

/**
 * `verify DIR`: a published folder against its manifest. A folder that is there needs no configuration; otherwise the
 * name is that of a run, as `show` takes it.
 */
export async function verifyCommand(name: string | undefined, context: CommandContext): Promise<number> {
  if (name === undefined) throw new RoundsError('USAGE', 'name the folder of a run, or give --audit');
  const folder = await folderNamed(name, context);
  const result = await verifyFolder(folder);
  if (context.json) context.print(JSON.stringify(result));
  else if (result.damage.length === 0) {
    context.print(
      `ok: ${folder} is as it was published (${result.status}): ${result.files} files, ${result.resources} resources, ${result.bytes} bytes.`,
    );
  } else {
    for (const sentence of result.damage) context.print(`DAMAGED: ${sentence}`);
  }
  return result.damage.length === 0 ? EXIT.complete : EXIT.damaged;
}

/** The folder itself, or that of the run with this name. Throws RUN_UNKNOWN, RUN_FOLDER_GONE. */
async function folderNamed(name: string, context: CommandContext): Promise<string> {
  if (existsSync(name) || !RUN_NAME.test(name)) return name;
  const config = await loadCommandConfig(context, false);
  return withLedger(config, async (ledger) => folderOf(chooseRun(ledger, name)));
}

/** What can be the name of a run and not a path. */
const RUN_NAME = /^(latest|current|\d[\dTZa-f-]*)$/;

/**
 * `verify --audit [DIR]`: the audit file against itself, the ledger beside it and the manifests of the published
 * folders. DIR is a state folder or an audit file and needs no configuration; without it, the INI's.
 */
export async function verifyAuditCommand(
  given: string | undefined,
  context: CommandContext,
): Promise<number> {
  const { file, jobFolders } = given === undefined ? await configured(context) : named(given);
  const result = verifyAudit(file, await gather(path.dirname(file), jobFolders));
  if (context.json) context.print(JSON.stringify(result));
  else {
    for (const sentence of result.damage) context.print(`DAMAGED: ${file}: ${sentence}`);
    for (const note of result.notes) context.print(`note: ${note}`);
    const { head, lines } = result;
    if (result.damage.length === 0) {
      const end = head === undefined ? '' : `; its head is line ${head.seq}, sha256 ${head.sha256}`;
      context.print(`ok: ${file}: ${lines} lines, none changed, removed, added or cut${end}.`);
    }
  }
  return result.damage.length === 0 ? EXIT.complete : EXIT.damaged;
}

interface AuditPlace {
  readonly file: string;
  readonly jobFolders: readonly string[];
}

async function configured(context: CommandContext): Promise<AuditPlace> {
  const { jobs } = await loadCommandConfig(context, false);
  const stateFolder = jobs[0]!.settings.paths.state_folder;
  return {
    file: path.join(stateFolder, AUDIT_FILE),
    jobFolders: jobs.map((job) => placeOf(job).folders.job),
  };
}

function named(given: string): AuditPlace {
  if (!existsSync(given)) throw new RoundsError('USAGE', `there is no ${given}`);
  return { file: statSync(given).isDirectory() ? path.join(given, AUDIT_FILE) : given, jobFolders: [] };
}

/** What the ledger and the published folders know: those that the ledger names, and those of the INI's jobs. */
async function gather(stateFolder: string, jobFolders: readonly string[]): Promise<AuditEvidence> {
  const folders = new Set<string>();
  let head: AuditHead | undefined;
  const ledger = openLedgerForReading(stateFolder);
  try {
    head = ledger?.audit.head();
    for (const { folder } of ledger?.runs() ?? []) if (folder !== undefined) folders.add(folder);
  } finally {
    ledger?.close();
  }
  for (const jobFolder of jobFolders) {
    const names = await readdir(jobFolder).catch(() => []);
    for (const name of names) if (RUN_ID.test(name)) folders.add(path.join(jobFolder, name));
  }
  const witnesses: AuditWitness[] = [];
  const manifests = new Map<string, string>();
  for (const folder of folders) {
    const file = path.join(folder, MANIFEST);
    if (!existsSync(file)) continue;
    const { runId, audit } = (await readManifest(folder)).extension;
    manifests.set(path.basename(folder), (await fingerprint(file)).sha256);
    if (audit !== undefined) witnesses.push({ ...audit, name: `the manifest of run ${runId}` });
  }
  return { ledger: head, witnesses, manifests };
}
