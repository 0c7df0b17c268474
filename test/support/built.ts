import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';

/** The repository. */
const ROOT = path.resolve(import.meta.dirname, '..', '..');
export const CLI = path.join(ROOT, 'dist', 'cli.js');

let done: Promise<void> | undefined;

/**
 * Sees to it that dist/ is that of src/, as everyone does who starts the program: through the bootstrap, which builds
 * only when a source is newer. Called by what starts the program, so that tests without a child process pay nothing.
 */
export function ensureBuilt(): Promise<void> {
  done ??= promisify(execFile)(process.execPath, [path.join(ROOT, 'src', 'bootstrap.mjs'), '--version']).then(
    () => undefined,
  );
  return done;
}
