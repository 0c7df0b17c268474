// What a power cut would take. Bytes are safe once their file was synced, a folder's entries once that folder was;
// everything else may be gone, and here it is. Two things are taken from journaling file systems: a rename is one
// step, and SQLite's own files keep their promises by themselves.
import { Buffer } from 'node:buffer';
import fs from 'node:fs';
import path from 'node:path';
import { discard } from './images.mjs';
import { plan } from './plan.mjs';

/** Untouched copies: preload.mjs replaces those of `fs`. */
const { copyFileSync, fstatSync, linkSync, lstatSync, mkdirSync, readdirSync, readlinkSync } = fs;
const { renameSync, rmdirSync, symlinkSync, unlinkSync, utimesSync } = fs;
const { openSync, closeSync, ftruncateSync, writeSync } = fs;

const isPower = plan?.power === true;

/** By inode: how many bytes of a file that was written since are safe. */
const unsynced = new Map();
/** Changes of folders in their order, the synced ones taken out. */
let changes = [];
let shadows = 0;

export function isSqlite(file) {
  return /\.sqlite(-|$)|[/\\]locks([/\\]|$)/.test(file);
}

/** To be called before bytes are written through a descriptor. */
export function writing(fd) {
  if (!isPower) return;
  const { ino, size } = fstatSync(fd);
  if (!unsynced.has(ino)) unsynced.set(ino, size);
}

/** To be called after a file was made or cut to a length. */
export function cut(fd, length) {
  if (!isPower) return;
  const { ino } = fstatSync(fd);
  unsynced.set(ino, Math.min(unsynced.get(ino) ?? length, length));
}

/** To be called after a file was copied to this path. */
export function copied(file) {
  if (isPower) unsynced.set(lstatSync(file).ino, 0);
}

/** To be called after a file or folder was synced. */
export function synced(fd, file) {
  if (!isPower) return;
  const found = fstatSync(fd);
  if (found.isDirectory()) settle(path.resolve(file));
  else unsynced.delete(found.ino);
}

/** To be called after a file, link or folder was made. */
export function made(file) {
  if (isPower && !isSqlite(file)) changes.push({ kind: 'make', file, folders: [path.dirname(file)] });
}

/** Takes a file or an empty folder away, so that it can come back. */
export function remove(file) {
  const isFolder = lstatSync(file).isDirectory();
  if (!isPower || isSqlite(file)) {
    if (isFolder) rmdirSync(file);
    else unlinkSync(file);
    return;
  }
  const shadow = nextShadow();
  if (isFolder) rmdirSync(file);
  else renameSync(file, shadow);
  changes.push({ kind: 'remove', file, isFolder, shadow, folders: [path.dirname(file)] });
}

/** To be called before a rename; what it returns, after. */
export function renaming(from, to) {
  if (!isPower) return () => undefined;
  let shadow;
  const replaced = lstatSync(to, { throwIfNoEntry: false });
  if (replaced !== undefined && !replaced.isDirectory()) {
    shadow = nextShadow();
    linkSync(to, shadow);
  }
  const folders = [path.dirname(from), path.dirname(to)];
  return () => changes.push({ kind: 'rename', file: to, from, shadow, folders });
}

function nextShadow() {
  mkdirSync(plan.shadowFolder, { recursive: true });
  return path.join(plan.shadowFolder, String(shadows++));
}

/** A folder was synced: its changes are safe. Those under another name of a renamed folder get its new name. */
function settle(folder) {
  const left = [];
  for (const change of changes) {
    if (!change.folders.includes(folder)) {
      left.push(change);
      continue;
    }
    if (change.kind !== 'rename') continue;
    for (const one of left) rebase(one, change.from, change.file);
  }
  changes = left;
}

function rebase(change, from, to) {
  const moved = (file) =>
    file === from || file.startsWith(from + path.sep) ? to + file.slice(from.length) : file;
  change.file = moved(change.file);
  if (change.from !== undefined) change.from = moved(change.from);
  change.folders = change.folders.map(moved);
}

/**
 * Copies the roots into `image` as a power cut would leave them: without the changes of folders that are not safe (all,
 * or those after some moment), and with the ends of files that are not safe gone or torn; `() => 0` takes all of both.
 * No `random`: as they are, which is what a kill leaves.
 */
export function takeImage(image, random) {
  const safe = new Map();
  const base = path.dirname(plan.roots[0]);
  const inImage = (file) => path.join(image, path.relative(base, file));
  const roots = random === undefined ? plan.roots : [...plan.roots, plan.shadowFolder];
  mkdirSync(image, { recursive: true });
  for (const root of roots) copyTree(root, inImage(root), safe);
  if (random === undefined) return;
  const kept = random() < 0.5 ? 0 : Math.floor(random() * (changes.length + 1));
  for (const change of changes.slice(kept).toReversed()) {
    try {
      undo(change, inImage);
    } catch (error) {
      // An operation that was under way in another thread may not have come to pass.
      if (error.code !== 'ENOENT') throw error;
    }
  }
  for (const root of plan.roots) tear(inImage(root), safe, random);
}

/** Copies what is there; the new inode of each file with unsynced bytes is noted, with how many are safe. */
function copyTree(from, to, safe) {
  const found = lstatSync(from, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (found.isSymbolicLink()) symlinkSync(readlinkSync(from), to);
  else if (found.isDirectory()) {
    mkdirSync(to, { recursive: true, mode: found.mode });
    for (const name of readdirSync(from)) copyTree(path.join(from, name), path.join(to, name), safe);
  } else if (!from.endsWith('-shm')) {
    // SQLite's shared memory is its own to rebuild: no process has it open any more.
    copyFileSync(from, to);
    utimesSync(to, found.atime, found.mtime);
    const bytes = unsynced.get(found.ino);
    if (bytes !== undefined && !isSqlite(from)) safe.set(lstatSync(to).ino, bytes);
  }
}

function undo({ kind, file, from, shadow, isFolder }, inImage) {
  if (kind === 'make') discard(inImage(file));
  else if (kind === 'remove' && isFolder) mkdirSync(inImage(file), { mode: 0o700 });
  else if (kind === 'remove') renameSync(inImage(shadow), inImage(file));
  else {
    renameSync(inImage(file), inImage(from));
    if (shadow !== undefined) renameSync(inImage(shadow), inImage(file));
  }
}

function tear(folder, safe, random) {
  for (const name of fs.existsSync(folder) ? readdirSync(folder) : []) {
    const file = path.join(folder, name);
    const found = lstatSync(file);
    if (found.isDirectory()) tear(file, safe, random);
    const { size } = found;
    const safeBytes = found.isFile() ? safe.get(found.ino) : undefined;
    if (safeBytes === undefined || safeBytes >= size) continue;
    const way = random();
    const end = way < 0.3 ? safeBytes : safeBytes + Math.floor(random() * (size - safeBytes + 1));
    const fd = openSync(file, 'r+');
    ftruncateSync(fd, end);
    // The new length may have reached the disk before the bytes did.
    if (way > 0.7 && end < size) writeSync(fd, Buffer.alloc(size - end), 0, size - end, end);
    closeSync(fd);
  }
}
