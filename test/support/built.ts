import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** The repository. */
const ROOT = path.resolve(import.meta.dirname, '..', '..');
export const CLI = path.join(ROOT, 'dist', 'cli.js');

const BUILT = path.join(ROOT, 'dist', '.built');
/** The bootstrap's own lock, so that the two never build over each other. */
const LOCK = path.join(ROOT, 'node_modules', '.fhir-rounds-setup');
const WAIT_MS = 120_000;

let done: Promise<void> | undefined;

/**
 * Sees to it that dist/ is that of src/: builds into place (nobody who runs it loses it) only when a source is newer.
 * Called by what starts the program, so that the tests which need no child process pay nothing.
 */
export function ensureBuilt(): Promise<void> {
  done ??= build();
  return done;
}

async function build(): Promise<void> {
  if (isFresh()) return;
  await lock();
  try {
    if (isFresh()) return;
    const startedAt = new Date();
    const tsc = path.join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
    const result = spawnSync(process.execPath, [tsc, '-p', path.join(ROOT, 'tsconfig.json')], {
      cwd: ROOT,
      encoding: 'utf8',
    });
    if (result.status !== 0) throw new Error(`the build failed:\n${result.stdout}${result.stderr}`);
    for (const name of readdirSync(path.join(ROOT, 'src'), { recursive: true }) as string[]) {
      if (!name.endsWith('.json')) continue;
      mkdirSync(path.dirname(path.join(ROOT, 'dist', name)), { recursive: true });
      writeFileSync(path.join(ROOT, 'dist', name), readFileSync(path.join(ROOT, 'src', name)));
    }
    writeFileSync(BUILT, `${startedAt.toISOString()}\n`);
    // A source that was saved while it was being built counts as newer.
    utimesSync(BUILT, startedAt, startedAt);
  } finally {
    rmSync(LOCK, { recursive: true, force: true });
  }
}

function isFresh(): boolean {
  if (!existsSync(BUILT)) return false;
  const builtAt = statSync(BUILT).mtimeMs;
  const sources = readdirSync(path.join(ROOT, 'src'), { recursive: true, withFileTypes: true });
  return (
    statSync(path.join(ROOT, 'tsconfig.json')).mtimeMs <= builtAt &&
    sources.every((entry) => statSync(path.join(entry.parentPath, entry.name)).mtimeMs <= builtAt)
  );
}

async function lock(): Promise<void> {
  const from = Date.now();
  for (;;) {
    try {
      mkdirSync(LOCK);
      writeFileSync(path.join(LOCK, 'pid'), String(process.pid));
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    if (!isHeld()) rmSync(LOCK, { recursive: true, force: true });
    else if (Date.now() - from > WAIT_MS) throw new Error(`another build seems to hang; remove ${LOCK}`);
    await sleep(100);
  }
}

function isHeld(): boolean {
  try {
    process.kill(Number(readFileSync(path.join(LOCK, 'pid'), 'utf8')), 0);
    return true;
  } catch (error) {
    // Just made or just removed: its process lives.
    return ['EPERM', 'ENOENT'].includes((error as NodeJS.ErrnoException).code ?? '');
  }
}
