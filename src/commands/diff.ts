import { existsSync } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import type { Config } from '../config/schema.ts';
import { RoundsError } from '../errors.ts';
import { readManifest } from '../publish/verify.ts';
import { count } from '../report/format.ts';
import type { Ledger } from '../run/ledger.ts';
import { asFileError, errno, PRIVATE_MODES } from '../system/files.ts';
import { chooseRun, folderOf, withLedger } from '../views/chooseRun.ts';
import {
  compareFolders,
  countsOf,
  type ChangeKind,
  type PublishedFolder,
  type TypeComparison,
} from '../views/compareFolders.ts';
import { EXIT, loadCommandConfig, type CommandContext } from './context.ts';
import { auditShownIds, demandTerminal } from './shownIds.ts';

export interface DiffCommand {
  /** Each a run as `show` takes it, or a published folder. */
  readonly before: string;
  readonly after: string;
  readonly jobName: string | undefined;
  /** Whether contents are compared, and not only what the manifests count. */
  readonly content: boolean;
  /** Whether ids of what differs are wanted: on the terminal, or in `outFile`. */
  readonly ids: boolean;
  readonly outFile: string | undefined;
}

type Row = Pick<TypeComparison, 'resourceType' | 'before' | 'after'> & Partial<TypeComparison>;

/**
 * `diff A B`: records by type; with `--content` what was added, changed (another sha256 of the line) and is absent;
 * with `--ids` which, to a terminal or into a new file (mode 0600), written into the audit file first. Throws
 * RUN_UNKNOWN, RUN_FOLDER_GONE, VERIFY_DAMAGED (a folder without a manifest), USAGE, PATH_UNUSABLE.
 */
export async function diffCommand(command: DiffCommand, context: CommandContext): Promise<number> {
  const { ids, outFile } = command;
  if (outFile !== undefined && !ids) throw new RoundsError('USAGE', '--out takes the ids: give --ids, too');
  if (ids && outFile === undefined) demandTerminal(context, ', or into a file with --out FILE');
  const config = await loadCommandConfig(context, false);
  const [before, after] = await withLedger(config, async (ledger) => [
    await resolve(command.before, ledger, command.jobName),
    await resolve(command.after, ledger, command.jobName),
  ]);
  const rows = ids
    ? await withIds(command, before, after, config, context)
    : await compared(command.content, before, after, context);
  const runs = [before, after].map(({ manifest }) => manifest.extension.runId);
  if (context.json) {
    context.print(JSON.stringify({ before: runs[0], after: runs[1], types: rows }));
  } else for (const line of tableOf(runs, rows)) context.print(line);
  return EXIT.complete;
}

async function resolve(
  name: string,
  ledger: Ledger | undefined,
  jobName: string | undefined,
): Promise<PublishedFolder> {
  const folder = existsSync(name) ? name : folderOf(chooseRun(ledger, name, jobName));
  return { folder, manifest: await readManifest(folder) };
}

async function compared(
  content: boolean,
  before: PublishedFolder,
  after: PublishedFolder,
  { signal }: CommandContext,
): Promise<readonly Row[]> {
  return content
    ? await compareFolders(before, after, { signal })
    : countsOf(before.manifest, after.manifest);
}

async function withIds(
  { outFile }: DiffCommand,
  before: PublishedFolder,
  after: PublishedFolder,
  config: Config,
  context: CommandContext,
): Promise<readonly Row[]> {
  const out = outFile === undefined ? undefined : await openNew(path.resolve(outFile));
  try {
    await auditShownIds(
      config,
      [before, after].map((one) => runOf(one, config)),
      context,
    );
    const lines = new Lines(out, context.print);
    const rows = await compareFolders(before, after, {
      signal: context.signal,
      onChange: (kind, resourceType, id) => lines.add(kind, resourceType, id),
    });
    await lines.flush();
    return rows;
  } finally {
    await out?.close();
  }
}

/** A folder as the audit names it. */
function runOf({ manifest }: PublishedFolder, config: Config) {
  const { runId, job } = manifest.extension;
  const settings = (config.jobs.find(({ jobName }) => jobName === job) ?? config.jobs[0]!).settings;
  return {
    runId,
    jobName: job,
    context: {
      server: manifest.request,
      clientId: settings.oauth_settings.client_id,
      exportFolder: settings.paths.epic_data_export_folder,
    },
  };
}

/** Lines for the terminal, or blocks of NDJSON for a file. */
class Lines {
  readonly #out: FileHandle | undefined;
  readonly #print: (text: string) => void;
  #block = '';

  constructor(out: FileHandle | undefined, print: (text: string) => void) {
    this.#out = out;
    this.#print = print;
  }

  async add(change: ChangeKind, resourceType: string, id: string): Promise<void> {
    if (this.#out === undefined) this.#print(`${change.padEnd(8)} ${resourceType}/${id}`);
    else this.#block += `${JSON.stringify({ change, type: resourceType, id })}\n`;
    if (this.#block.length > 1 << 16) await this.flush();
  }

  async flush(): Promise<void> {
    await this.#out?.writeFile(this.#block);
    this.#block = '';
  }
}

async function openNew(file: string): Promise<FileHandle> {
  try {
    return await open(file, 'wx', PRIVATE_MODES.file);
  } catch (error) {
    if (errno(error) === 'EEXIST') throw new RoundsError('USAGE', `${file} exists already`);
    throw asFileError(error, file);
  }
}

function* tableOf(runs: readonly (string | undefined)[], rows: readonly Row[]): Generator<string> {
  const hasContent = rows.some(({ added }) => added !== undefined);
  yield `from ${runs[0]} to ${runs[1]}`;
  const head = [
    '',
    'before',
    'after',
    'change',
    ...(hasContent ? ['added', 'changed', 'absent', 'same'] : []),
  ];
  const cells = rows.map(({ resourceType, before, after, added, changed, absent, same }) => [
    resourceType,
    count(before),
    count(after),
    signed(after - before),
    ...(hasContent ? [added, changed, absent, same].map((n) => count(n ?? 0)) : []),
  ]);
  const widths = head.map((text, column) =>
    Math.max(text.length, ...cells.map((row) => row[column]!.length)),
  );
  for (const row of [head, ...cells]) {
    yield row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!)))
      .join('  ')
      .trimEnd();
  }
}

function signed(change: number): string {
  if (change === 0) return '=';
  return change > 0 ? `+${count(change)}` : `-${count(-change)}`;
}
