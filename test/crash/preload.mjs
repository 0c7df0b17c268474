// `node --import preload.mjs`: counts what the program makes durable, and ends it at the operation that the plan
// names. It replaces the functions of node:fs that change a disk and puts itself before SQLite; of the program
// itself it changes nothing. An operation it does not know is refused, so that none can go uncounted.
import fs from 'node:fs';
import { register, syncBuiltinESMExports } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { plan } from './plan.mjs';
import { copied, cut, made, remove, renaming, synced, writing } from './durability.mjs';
import { isWatched, operation } from './operations.mjs';

const { constants, existsSync, fstatSync, lstatSync, readdirSync } = fs;
const real = { ...fs, promises: { ...fs.promises } };
/** By file handle or descriptor: the watched path that it was opened by. */
const handles = new WeakMap();
const descriptors = new Map();

const isCreating = (flags) =>
  typeof flags === 'number' ? (flags & constants.O_CREAT) !== 0 : /^[wa]/.test(flags ?? 'r');
const isTruncating = (flags) => typeof flags === 'string' && flags.startsWith('w');

/** What opening a path changes: undefined, or what to do once it is open. */
function opening(file, flags) {
  if (!isWatched(file) || !isCreating(flags)) return undefined;
  const isThere = existsSync(file);
  if (isThere && !isTruncating(flags)) return undefined;
  const done = operation(`${isThere ? 'empty' : 'create'} ${named(file)}`);
  return (fd) => {
    if (!isThere) made(path.resolve(file));
    cut(fd, 0);
    done();
  };
}

/** A path without the parts that differ from run to run. */
function named(file) {
  const name = path.relative(path.dirname(plan.roots[0]), String(file)) || 'the folder of both';
  return name.replace(/\d{8}T\d{6}Z-[0-9a-f]{4}/, 'RUN').replace(/\.[0-9a-f]{8}$/, '.DRAFT');
}

const promised = {
  async open(file, flags, mode) {
    const opened = opening(file, flags);
    const handle = await real.promises.open(file, flags, mode);
    if (isWatched(file)) handles.set(handle, path.resolve(file));
    opened?.(handle.fd);
    return handle;
  },
  async rename(from, to) {
    if (!isWatched(to)) return real.promises.rename(from, to);
    const done = operation(`rename ${named(from)} ${named(to)}`);
    const renamed = renaming(path.resolve(from), path.resolve(to));
    await real.promises.rename(from, to);
    renamed();
    done();
  },
  async link(from, to) {
    const done = isWatched(to) ? operation(`link ${named(to)}`) : undefined;
    await real.promises.link(from, to);
    if (done) made(path.resolve(to));
    done?.();
  },
  async symlink(target, file, type) {
    const done = isWatched(file) ? operation(`symlink ${named(file)}`) : undefined;
    await real.promises.symlink(target, file, type);
    if (done) made(path.resolve(file));
    done?.();
  },
  async copyFile(from, to, mode) {
    const done = isWatched(to) ? operation(`copyFile ${named(to)}`) : undefined;
    const isThere = existsSync(to);
    await real.promises.copyFile(from, to, mode);
    if (done && !isThere) made(path.resolve(to));
    if (done) copied(to);
    done?.();
  },
  async truncate(file, length = 0) {
    if (!isWatched(file) || !existsSync(file)) return real.promises.truncate(file, length);
    const done = operation(`truncate ${named(file)}`);
    const fd = real.openSync(file, 'r+');
    cut(fd, length);
    real.ftruncateSync(fd, length);
    real.closeSync(fd);
    done();
  },
  async mkdir(folder, options = {}) {
    if (!isWatched(folder)) return real.promises.mkdir(folder, options);
    if (!options.recursive) {
      await makeFolder(folder, options);
      return undefined;
    }
    const missing = [];
    for (let at = path.resolve(folder); !existsSync(at); at = path.dirname(at)) missing.unshift(at);
    for (const one of missing) await makeFolder(one, { mode: options.mode });
    return missing[0];
  },
  async rm(file, options = {}) {
    if (!isWatched(file) || !lstatSync(file, { throwIfNoEntry: false }))
      return real.promises.rm(file, options);
    removeAll(path.resolve(file));
  },
};

async function makeFolder(folder, options) {
  const done = operation(`mkdir ${named(folder)}`);
  await real.promises.mkdir(folder, options);
  made(path.resolve(folder));
  done();
}

/** One by one, since a crash may come between any two. */
function removeAll(file) {
  if (lstatSync(file).isDirectory()) {
    for (const name of readdirSync(file)) removeAll(path.join(file, name));
  }
  const done = operation(`remove ${named(file)}`);
  remove(file);
  done();
}

const atOnce = {
  openSync(file, flags, mode) {
    const opened = opening(file, flags);
    const fd = real.openSync(file, flags, mode);
    if (isWatched(file)) descriptors.set(fd, path.resolve(file));
    else descriptors.delete(fd);
    opened?.(fd);
    return fd;
  },
  closeSync(fd) {
    descriptors.delete(fd);
    real.closeSync(fd);
  },
};
for (const [name, kind] of Object.entries({
  writeSync: 'write',
  ftruncateSync: 'truncate',
  fsyncSync: 'sync',
  fdatasyncSync: 'sync',
})) {
  atOnce[name] = (fd, ...args) => {
    const file = descriptors.get(fd);
    if (file === undefined) return real[name](fd, ...args);
    const done = operation(`${kind} ${named(file)}`);
    if (kind !== 'sync') writing(fd);
    const result = real[name](fd, ...args);
    if (kind === 'truncate') cut(fd, fstatSync(fd).size);
    if (kind === 'sync') synced(fd, file);
    done();
    return result;
  };
}

/** Ways of changing a disk that the program does not use: were one to come, the harness has to learn it. */
const UNKNOWN = ['appendFile', 'cp', 'mkdtemp', 'rmdir', 'unlink', 'writeFile'];
for (const name of UNKNOWN) {
  promised[name] = async (file, ...args) => {
    refuse(name, file);
    return real.promises[name](file, ...args);
  };
}
for (const name of [...UNKNOWN, 'truncate', 'copyFile', 'link', 'mkdir', 'rename', 'rm', 'symlink'].map(
  (one) => `${one}Sync`,
)) {
  atOnce[name] = (file, ...args) => {
    refuse(name, file);
    return real[name](file, ...args);
  };
}
atOnce.createWriteStream = (file, ...args) => {
  refuse('createWriteStream', file);
  return real.createWriteStream(file, ...args);
};

function refuse(name, file) {
  if (typeof file === 'string' && isWatched(file)) {
    throw new Error(`the crash harness does not know ${name} (${named(file)})`);
  }
}

async function wrapFileHandles() {
  const handle = await real.promises.open(fileURLToPath(import.meta.url));
  const prototype = Object.getPrototypeOf(handle);
  await handle.close();
  const kinds = { write: 'write', writev: 'write', writeFile: 'write', appendFile: 'write' };
  for (const [name, kind] of Object.entries({
    ...kinds,
    truncate: 'truncate',
    sync: 'sync',
    datasync: 'sync',
  })) {
    const original = prototype[name];
    prototype[name] = async function (...args) {
      const file = handles.get(this);
      if (file === undefined) return original.apply(this, args);
      const done = operation(`${kind} ${named(file)}`);
      if (kind !== 'sync') writing(this.fd);
      const result = await original.apply(this, args);
      if (kind === 'truncate') cut(this.fd, args[0] ?? 0);
      if (kind === 'sync') synced(this.fd, file);
      done();
      return result;
    };
  }
}

if (plan !== undefined) {
  await wrapFileHandles();
  Object.assign(fs.promises, promised);
  Object.assign(fs, atOnce);
  syncBuiltinESMExports();
  register('./sqliteHook.mjs', import.meta.url);
}
