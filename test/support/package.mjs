// Packs the package as npm would publish it, and has publint and attw ("are the types wrong") judge it.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

const ROOT = path.resolve(import.meta.dirname, '..', '..');
const folder = mkdtempSync(path.join(tmpdir(), 'fhir-rounds-package-'));
try {
  run('npm', ['pack', '--silent', '--pack-destination', folder], process.platform === 'win32');
  const tarball = path.join(folder, readdirSync(folder)[0]);
  node('publint/src/cli.js', ['run', tarball, '--strict']);
  // The package is of ES modules: require() of it is not promised.
  node('@arethetypeswrong/cli/dist/index.js', [tarball, '--profile', 'esm-only']);
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function node(program, args) {
  run(process.execPath, [path.join(ROOT, 'node_modules', program), ...args], false);
}

function run(command, args, shell) {
  const { status } = spawnSync(command, args, { cwd: ROOT, stdio: 'inherit', shell });
  if (status !== 0) process.exitCode = 1;
}
