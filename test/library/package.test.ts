import { execFile } from 'node:child_process';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as library from '../../src/index.ts';
import { examples } from '../docs/examples.ts';
import { ROOT } from '../docs/markdown.ts';
import { makeSite, siteKey, type Site } from '../support/site.ts';

/** What npm publishes, installed in an empty folder: it is imported, its program is started, its examples run. */

const run = promisify(execFile);
const isWindows = process.platform === 'win32';
const TSC = path.join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
/** The reader's: without what tests are told by (FHIR_ROUNDS_DUCKDB), which the program would take for settings. */
const ENVIRONMENT = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !name.startsWith('FHIR_ROUNDS_')),
);
/** What stands in the examples for the reader's server. */
const ENDPOINT = 'https://ehr.example.org/api/FHIR/R4';
const NAMES = [
  'RoundsError',
  'bulkExport',
  'createClient',
  'loadConfig',
  'readNdjson',
  'runJob',
  'startSandbox',
];
const METHODS = ['getAccessToken', 'read', 'search', 'observations'];

const ALL = examples().map((example, index) => ({ ...example, name: `example${index + 1}` }));

/** Each line that is marked must not compile, and all else must. */
const TYPES = `
import { bulkExport, createClient, loadConfig, readNdjson, RoundsError, runJob, startSandbox } from 'fhir-rounds';
import type { Client, ClientOptions, ErrorCode, Resource, RunSummary, Sandbox, SearchResults } from 'fhir-rounds';

const options: ClientOptions = { endpoint: '', clientId: '', privateKeyFile: undefined, privateKey: '' };
export const client: Client = await createClient(options);
export const ofConfig: Client = await createClient(await loadConfig(''), undefined, { signal: undefined });
export const found: SearchResults = client.search('Task', { patient: 'p', _id: ['a', 'b'], _count: 3 });
for await (const one of found) {
  const id: string = one.id;
  const mode: 'match' | 'include' = one.mode;
  const { status } = one.json<{ status: 'final' }>();
  const bytes: Uint8Array = one.bytes;
  console.log(id, mode, status, bytes);
}
for await (const one of readNdjson('')) {
  const resource: Resource = one;
  // @ts-expect-error -- a line of a file may have no id
  const id: string = one.id;
  console.log(resource, id);
}
export const summary: RunSummary = await runJob(await loadConfig(''), 'nightly', { mail: false });
export const code: ErrorCode = new RoundsError('TIMEOUT', '').code;
export const sandbox: Sandbox = await startSandbox();
// @ts-expect-error -- no client id
await createClient({ endpoint: '' });
// @ts-expect-error -- no such option
await createClient({ endpoint: '', clientId: '', privateKeyFile: '', clientID: '' });
// @ts-expect-error -- no folder
await bulkExport({ endpoint: '', clientId: '', privateKeyFile: '', types: [] });
// @ts-expect-error -- no such code
export const unknown: ErrorCode = 'NO_SUCH_CODE';
`;

describe('the package, installed', () => {
  let site: Site;
  /** What ran in the folder of the site, with its program found as npm installs it. */
  const here = (file: string, args: readonly string[]) =>
    run(file, args, { cwd: site.folder, shell: isWindows, env: ENVIRONMENT });
  const bin = (args: readonly string[]) =>
    here(path.join(site.folder, 'node_modules', '.bin', 'fhir-rounds'), args);

  beforeAll(async () => {
    site = await makeSite({
      resources: ['Patient', 'Condition'],
      sandbox: { smtp: false, bulk: { groupWaitSeconds: 0 } },
      mail: false,
      settings: {
        'oauth_settings.client_id': 'my-client-id',
        'jwt_settings.key_id': null,
        '[job nightly]': '',
      },
    });
    const { jwks } = siteKey();
    const withoutKid = jwks.keys.map((key) => ({ ...key, kid: undefined }));
    site.sandbox.registerClient({ clientId: 'my-client-id', jwks: { keys: withoutKid } });
    await mkdir(site.path('config'));
    await rename(site.configFile, site.path('config', 'fhir-rounds.ini'));

    await run('npm', ['pack', '--silent', '--pack-destination', site.folder], {
      cwd: ROOT,
      shell: isWindows,
    });
    const { version } = JSON.parse(await readFile(path.join(ROOT, 'package.json'), 'utf8')) as {
      version: string;
    };
    await writeFile(
      site.path('package.json'),
      JSON.stringify({ name: 'site', private: true, type: 'module' }),
    );
    const quiet = ['--prefer-offline', '--ignore-scripts', '--no-audit', '--no-fund', '--silent'];
    await here('npm', ['install', ...quiet, `./fhir-rounds-${version}.tgz`]);
    await compileExamples(site);
    await bin(['run', 'nightly', '--quiet', '--config', 'config/fhir-rounds.ini']);
  }, 240_000);
  afterAll(() => site.close());

  it('starts as a program', async () => {
    const { version } = JSON.parse(await readFile(path.join(ROOT, 'package.json'), 'utf8')) as {
      version: string;
    };
    expect((await bin(['--version'])).stdout).toBe(`${version}\n`);
  });

  it('is imported by its name, with the names that the source has and no others', async () => {
    const program = `console.log(JSON.stringify(Object.keys(await import('fhir-rounds')).toSorted()))`;
    const { stdout } = await here(process.execPath, ['--input-type=module', '--eval', program]);
    expect(JSON.parse(stdout)).toEqual(NAMES);
    expect(Object.keys(library).toSorted()).toEqual(NAMES);
  });

  it('loads next to nothing at its import', async () => {
    const hook = `export async function load(url, context, next) {
      if (url.startsWith('file:')) process._rawDebug(url);
      return next(url, context);
    }`;
    const program = `import { register } from 'node:module';
      register('data:text/javascript,' + encodeURIComponent(${JSON.stringify(hook)}));
      const umask = process.umask();
      await import('fhir-rounds');
      if (process.umask() !== umask) throw new Error('the umask was changed');`;
    const { stderr } = await here(process.execPath, ['--input-type=module', '--eval', program]);
    const loaded = stderr
      .trimEnd()
      .split('\n')
      .map((url) => path.posix.basename(url));
    expect(loaded.toSorted()).toEqual(['errorCodes.js', 'errors.js', 'index.js']);
  });

  it('has an example of every name and method', () => {
    expect(ALL.filter(({ of }) => of === 'README').length).toBeGreaterThan(0);
    const shown = new Set(ALL.map(({ of }) => of));
    expect([...NAMES, ...METHODS].filter((name) => !shown.has(name))).toEqual([]);
  });

  it.each(ALL)('$name, of $of in $file, prints what it says', async ({ name, prints }) => {
    const { stdout, stderr } = await here(process.execPath, [path.join('compiled', `${name}.js`)]);
    expect(stderr).toBe('');
    expect(stdout.trimEnd().split('\n').filter(Boolean)).toEqual(prints);
  });
});

/** Compiles all examples and the types above, as strictly as can be, against the declarations of the package. */
async function compileExamples(site: Site): Promise<void> {
  await mkdir(site.path('examples'));
  for (const { name, code } of ALL) {
    await writeFile(site.path('examples', `${name}.ts`), code.replaceAll(ENDPOINT, site.sandbox.fhirBase));
  }
  await writeFile(site.path('examples', 'types.ts'), TYPES);
  const compilerOptions = {
    ...{
      target: 'ES2023',
      module: 'NodeNext',
      strict: true,
      exactOptionalPropertyTypes: true,
      lib: ['ES2023'],
    },
    ...{ noUncheckedIndexedAccess: true, skipLibCheck: false, types: ['node'], rootDir: 'examples' },
    typeRoots: [path.join(ROOT, 'node_modules', '@types')],
    outDir: 'compiled',
  };
  await writeFile(site.path('tsconfig.json'), JSON.stringify({ compilerOptions, include: ['examples'] }));
  await run(process.execPath, [TSC, '-p', site.folder]).catch((error: { stdout: string }) => {
    throw new Error(`the examples do not compile:\n${error.stdout}`);
  });
}
