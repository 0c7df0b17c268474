// What a crash would leave of a run's folders, as copies. Loaded before preload.mjs replaces the functions of node:fs.
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';

const { lstatSync, readdirSync, readFileSync, readlinkSync, rmdirSync, unlinkSync } = fs;

/** The same for two images that a program cannot tell apart: names, modes and content. */
export function digestOf(roots) {
  const hash = createHash('sha256');
  const add = (file) => {
    const found = lstatSync(file, { throwIfNoEntry: false });
    if (found === undefined || file.endsWith('-shm')) return;
    hash.update(`${path.basename(file)}\0${found.mode}\0`);
    if (found.isSymbolicLink()) hash.update(readlinkSync(file));
    else if (found.isFile()) hash.update(`${found.size}\0`).update(readFileSync(file));
    else for (const name of readdirSync(file).toSorted()) add(path.join(file, name));
    hash.update('\0end');
  };
  for (const root of roots) add(root);
  return hash.digest('hex');
}

/** rmSync would call what preload.mjs has replaced. */
export function discard(file) {
  if (!lstatSync(file).isDirectory()) return unlinkSync(file);
  for (const name of readdirSync(file)) discard(path.join(file, name));
  rmdirSync(file);
}
