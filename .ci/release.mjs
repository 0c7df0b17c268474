// Makes a tarball a platform, with the production packages in it, for machines that reach no registry.
// Usage: npm run release -- [--out FOLDER] [--platform linux-x64,win32-x64 ...]      (needs GNU tar, gzip and npm)
// Beside each lies its SBOM (CycloneDX), and SHA256SUMS names all of them. The same commit gives the same bytes.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';

const ROOT = path.resolve(import.meta.dirname, '..');
/** Those that the ledger's SQLite is built for. */
const PLATFORMS = ['linux-x64', 'linux-arm64', 'darwin-x64', 'darwin-arm64', 'win32-x64', 'win32-arm64'];
/** What a site needs of the repository. `config` and `data` hold their READMEs and examples, no site's own files. */
const TAKEN = [
  ...['README.md', 'CHANGELOG.md', 'SECURITY.md', 'LICENSE', 'ecosystem.config.cjs', 'src/bootstrap.mjs'],
  ...['config/README.md', 'config/fhir-rounds.example.ini', 'config/service'],
  ...['data/README.md', 'data/roster.example.csv', 'data/resources.example.csv', 'exports/README.md'],
  'logs/README.md',
];
const SQLITE = 'node_modules/@photostructure/sqlite';

const { values } = parseArgs({
  options: { out: { type: 'string', default: 'release' }, platform: { type: 'string' } },
});
const platforms = values.platform?.split(',') ?? PLATFORMS;
const unknown = platforms.filter((platform) => !PLATFORMS.includes(platform));
if (unknown.length > 0) {
  process.stderr.write(
    `release: no such platform: ${unknown.join(', ')}; there are ${PLATFORMS.join(', ')}\n`,
  );
  process.exit(2);
}

const out = path.resolve(values.out);
const work = mkdtempSync(path.join(tmpdir(), 'fhir-rounds-release-'));
try {
  mkdirSync(out, { recursive: true });
  const manifest = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8'));
  const whole = makeWhole(manifest);
  const sbom = makeSbom(whole);
  const made = platforms.flatMap((platform) => pack(whole, platform, manifest.version, sbom));
  writeFileSync(path.join(out, 'SHA256SUMS'), made.map((file) => `${sha256(file)}  ${file}\n`).join(''));
  process.stdout.write(`${[...made, 'SHA256SUMS'].map((file) => path.join(out, file)).join('\n')}\n`);
} finally {
  rmSync(work, { recursive: true, force: true });
}

/** The program with its production packages for every platform. */
function makeWhole(manifest) {
  // npm takes the folder's name for the SBOM's.
  const whole = path.join(work, manifest.name);
  mkdirSync(whole);
  for (const name of TAKEN) cpSync(path.join(ROOT, name), path.join(whole, name), { recursive: true });
  const { demo, start } = manifest.scripts;
  const ofDevelopment = { devDependencies: undefined, knip: undefined, files: undefined };
  const kept = { ...manifest, ...ofDevelopment, scripts: { demo, start } };
  writeFileSync(path.join(whole, 'package.json'), `${JSON.stringify(kept, undefined, 2)}\n`);
  // npm holds the lockfile against package.json, so it installs beside the one that names the development packages.
  const install = path.join(work, 'install');
  mkdirSync(install);
  for (const name of ['package.json', 'package-lock.json'])
    cpSync(path.join(ROOT, name), path.join(install, name));
  run(
    'npm',
    ['ci', '--omit=dev', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'],
    install,
  );
  cpSync(path.join(install, 'node_modules'), path.join(whole, 'node_modules'), {
    recursive: true,
    verbatimSymlinks: true,
  });
  rmSync(path.join(whole, SQLITE, 'src'), { recursive: true, force: true });
  const tsc = path.join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
  run(process.execPath, [tsc, '-p', 'tsconfig.json', '--outDir', path.join(whole, 'dist')], ROOT);
  for (const name of readdirSync(path.join(ROOT, 'src'), { recursive: true })) {
    if (name.endsWith('.json')) cpSync(path.join(ROOT, 'src', name), path.join(whole, 'dist', name));
  }
  writeLaunchers(whole);
  return whole;
}

function writeLaunchers(folder) {
  const shell = path.join(folder, 'fhir-rounds');
  writeFileSync(shell, '#!/bin/sh\nexec node "$(dirname "$(readlink -f "$0")")/src/bootstrap.mjs" "$@"\n');
  chmodSync(shell, 0o755);
  writeFileSync(path.join(folder, 'fhir-rounds.cmd'), '@node "%~dp0src\\bootstrap.mjs" %*\r\n');
}

/** One platform's tarball and SBOM; their names. */
function pack(whole, platform, version, sbom) {
  const name = `fhir-rounds-${version}-${platform}`;
  const folder = path.join(work, name);
  cpSync(whole, folder, { recursive: true, verbatimSymlinks: true });
  const prebuilds = path.join(folder, SQLITE, 'prebuilds');
  for (const other of readdirSync(prebuilds)) {
    if (other !== platform) rmSync(path.join(prebuilds, other), { recursive: true });
  }
  const tarball = path.join(out, `${name}.tar.gz`);
  const tar = [
    ...['--sort=name', '--owner=0', '--group=0', '--numeric-owner', '--mode=u+rwX,go+rX,go-w'],
    ...[`--mtime=@${sourceDate()}`, '--use-compress-program=gzip -9 -n', '-cf', tarball, name],
  ];
  run('tar', tar, work);
  writeFileSync(path.join(out, `${name}.cdx.json`), sbom);
  return [`${name}.cdx.json`, `${name}.tar.gz`];
}

/** CycloneDX, without the serial number and the time that would make each one differ. */
function makeSbom(whole) {
  const sbom = JSON.parse(run('npm', ['sbom', '--sbom-format', 'cyclonedx', '--omit', 'dev'], whole));
  delete sbom.serialNumber;
  sbom.metadata.timestamp = new Date(Number(sourceDate()) * 1000).toISOString();
  return `${JSON.stringify(sbom, undefined, 2)}\n`;
}

/** Seconds since 1970 of the commit, so that the same commit gives the same tarball. */
function sourceDate() {
  return process.env.SOURCE_DATE_EPOCH ?? run('git', ['log', '-1', '--format=%ct'], ROOT).trim();
}

function sha256(name) {
  return createHash('sha256')
    .update(readFileSync(path.join(out, name)))
    .digest('hex');
}

function run(command, args, cwd) {
  return execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
}
