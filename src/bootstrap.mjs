#!/usr/bin/env node
// Installs and builds what is missing, then hands on. Imports node: only, since nothing else may be there yet.
// In an installed package (no tsconfig.json beside package.json) there is nothing to install or build.
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const MIN_NODE = [20, 19];
const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const at = (...parts) => path.join(root, ...parts);
const BUILT = at('dist', '.built');
const LOCK = at('node_modules', '.fhir-rounds-setup');
const WAIT_MS = 120_000;
/** What a tool says while setting up is no result: it goes to stderr, so that --json stays clean. */
const TO_STDERR = ['ignore', 2, 2];

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < MIN_NODE[0] || (major === MIN_NODE[0] && minor < MIN_NODE[1])) {
  fail(
    `fhir-rounds needs Node.js ${MIN_NODE.join('.')} or newer (24 is recommended); this is ${process.versions.node}.`,
  );
}

if (existsSync(at('tsconfig.json')) && isMissingAnything()) setUp();

// `--run FILE [ARGS]`: what npm's scripts are made of; FILE is relative to this package.
const [, , first, file = '', ...rest] = process.argv;
if (first === '--run') {
  process.exitCode = run(process.execPath, [at(file), ...rest], 'inherit');
} else {
  await import(pathToFileURL(at('dist', 'cli.js')).href);
}

function isMissingAnything() {
  return !isInstalled() || !isBuilt();
}

/** npm writes this file last, so that it is there only after a whole installation of this lockfile. */
function isInstalled() {
  const installed = at('node_modules', '.package-lock.json');
  return (
    existsSync(installed) && statSync(installed).mtimeMs >= statSync(at('package-lock.json')).mtimeMs - 1
  );
}

function isBuilt() {
  if (!existsSync(BUILT)) return false;
  const builtAt = statSync(BUILT).mtimeMs;
  return newest(at('src')) <= builtAt && statSync(at('tsconfig.json')).mtimeMs <= builtAt;
}

function newest(folder) {
  let latest = 0;
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    latest = Math.max(latest, statSync(path.join(entry.parentPath, entry.name)).mtimeMs);
  }
  return latest;
}

/** One process at a time: two commands started together must not build over each other. */
function setUp() {
  mkdirSync(at('node_modules'), { recursive: true });
  const from = Date.now();
  while (!takeLock()) {
    if (Date.now() - from > WAIT_MS) fail(`another set-up seems to hang; remove ${LOCK} and try again.`);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 250);
  }
  try {
    if (!isInstalled()) install();
    if (!isBuilt()) build();
  } catch (error) {
    fail(`setting up failed: ${error.message}`);
  } finally {
    rmSync(LOCK, { recursive: true, force: true });
  }
}

function takeLock() {
  try {
    mkdirSync(LOCK);
    writeFileSync(path.join(LOCK, 'pid'), String(process.pid));
    return true;
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
    if (!isAlive(holder())) rmSync(LOCK, { recursive: true, force: true });
    return false;
  }
}

function holder() {
  try {
    return Number(readFileSync(path.join(LOCK, 'pid'), 'utf8'));
  } catch {
    // Just made, or just removed: whoever it is lives.
    return process.pid;
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

function install() {
  say('installing the packages (once) ...');
  // npm ci empties node_modules, our lock with it; --ignore-scripts: no package needs any.
  const npm = process.env.npm_execpath;
  const args = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error', '--include=dev'];
  const status = npm?.endsWith('.js')
    ? run(process.execPath, [npm, ...args])
    : run(process.platform === 'win32' ? 'npm.cmd' : 'npm', args, TO_STDERR, process.platform === 'win32');
  if (status !== 0) fail('`npm ci` failed; see its message above.');
}

/** Into a folder of its own that takes dist's place at once: a program that runs meanwhile still finds its modules. */
function build() {
  say('building (once) ...');
  const fresh = at('node_modules', '.fhir-rounds-build');
  const old = at('node_modules', '.fhir-rounds-old');
  for (const folder of [fresh, old]) rmSync(folder, { recursive: true, force: true });
  const startedAt = new Date();
  // Types are the business of `npm run check`; leaving them out halves the time of a first start.
  const options = ['--noCheck', '--declaration', 'false', '--outDir', fresh];
  const tsc = [at('node_modules', 'typescript', 'bin', 'tsc'), '-p', at('tsconfig.json'), ...options];
  if (run(process.execPath, tsc) !== 0) fail('the build failed; see the messages above.');
  for (const name of readdirSync(at('src'), { recursive: true })) {
    if (!/\.(json|css|js|svg)$/.test(name)) continue;
    mkdirSync(path.dirname(path.join(fresh, name)), { recursive: true });
    writeFileSync(path.join(fresh, name), readFileSync(at('src', name)));
  }
  writeFileSync(path.join(fresh, '.built'), `${startedAt.toISOString()}\n`);
  // The stamp's time is when the build began: what was saved meanwhile is newer.
  utimesSync(path.join(fresh, '.built'), startedAt, startedAt);
  if (existsSync(at('dist'))) renameSync(at('dist'), old);
  renameSync(fresh, at('dist'));
  rmSync(old, { recursive: true, force: true });
}

function run(command, args, stdio = TO_STDERR, shell = false) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio, shell });
  if (error) fail(`${command}: ${error.message}`);
  return status ?? 1;
}

function say(text) {
  process.stderr.write(`fhir-rounds: ${text}\n`);
}

function fail(text) {
  say(text);
  process.exit(1);
}
