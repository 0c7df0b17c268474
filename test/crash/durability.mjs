// What a power cut would take. Bytes are safe once their file was synced, a folder's entries once that folder was;
// everything else may be gone, and here it is. Two things are taken from journaling file systems: a rename is one
// step, and SQLite's own files keep their promises by themselves.
import { Buffer } from 'node:buffer';
import fs from 'node:fs';
import path from 'node:path';
import { plan } from './plan.mjs';
import { randomFrom } from './random.mjs';

/** Untouched copies: preload.mjs replaces those of `fs`. */
const { fstatSync, linkSync, lstatSync, mkdirSync, readdirSync, renameSync, rmdirSync } = fs;
const { openSync, closeSync, ftruncateSync, writeSync, unlinkSync } = fs;

const isPower = plan?.how === 'power';

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

/** Takes away what is not safe: all changes of folders or those after some moment, and the ends of files. */
export function cutPower() {
  const random = randomFrom(plan.seed);
  const kept = random() < 0.5 ? 0 : Math.floor(random() * (changes.length + 1));
  for (const change of changes.slice(kept).toReversed()) {
    try {
      undo(change);
    } catch (error) {
      // An operation that was under way in another thread may not have come to pass.
      if (error.code !== 'ENOENT') throw error;
    }
  }
  for (const root of plan.roots) tear(root, random);
}

function undo({ kind, file, from, shadow, isFolder }) {
  if (kind === 'make') removeAll(file);
  else if (kind === 'remove' && isFolder) mkdirSync(file, { mode: 0o700 });
  else if (kind === 'remove') renameSync(shadow, file);
  else {
    renameSync(file, from);
    if (shadow !== undefined) renameSync(shadow, file);
  }
}

/** rmSync would call what preload.mjs has replaced. */
function removeAll(file) {
  if (!lstatSync(file).isDirectory()) return unlinkSync(file);
  for (const name of readdirSync(file)) removeAll(path.join(file, name));
  rmdirSync(file);
}

function tear(folder, random) {
  for (const name of fs.existsSync(folder) ? readdirSync(folder) : []) {
    const file = path.join(folder, name);
    const found = lstatSync(file);
    if (found.isDirectory()) tear(file, random);
    const { size } = found;
    const safe = found.isFile() && !isSqlite(file) ? unsynced.get(found.ino) : undefined;
    if (safe === undefined || safe >= size) continue;
    const way = random();
    const end = way < 0.3 ? safe : safe + Math.floor(random() * (size - safe + 1));
    const fd = openSync(file, 'r+');
    ftruncateSync(fd, end);
    // The new length may have reached the disk before the bytes did.
    if (way > 0.7 && end < size) writeSync(fd, Buffer.alloc(size - end), 0, size - end, end);
    closeSync(fd);
  }
}
