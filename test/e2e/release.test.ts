import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmod, mkdir, readdir, readFile, symlink } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../support/temporaryFolder.ts';

/** `npm run release`, and its tarball on a machine that has Node.js and nothing else. */

const ROOT = path.resolve(import.meta.dirname, '..', '..');
const HERE = `${process.platform}-${process.arch}`;
const run = promisify(execFile);

interface Sbom {
  readonly metadata: { readonly component: { readonly name: string; readonly version: string } };
  readonly components: readonly { readonly name: string }[];
}

describe.skipIf(process.platform !== 'linux')('a release', () => {
  it(
    'is unpacked and runs without a registry, from a folder that it cannot write to',
    { timeout: 180_000 },
    async () => {
      const folder = await temporaryFolder();
      const out = path.join(folder, 'release');
      const release = path.join(ROOT, '.ci', 'release.mjs');
      await run(process.execPath, [release, '--out', out, '--platform', HERE]);
      const manifest = JSON.parse(await readFile(path.join(ROOT, 'package.json'), 'utf8')) as {
        version: string;
        dependencies: Record<string, string>;
        devDependencies: Record<string, string>;
      };
      const name = `fhir-rounds-${manifest.version}-${HERE}`;
      const files = [`${name}.cdx.json`, `${name}.tar.gz`];
      expect((await readdir(out)).toSorted()).toEqual(['SHA256SUMS', ...files].toSorted());

      const sums = (await readFile(path.join(out, 'SHA256SUMS'), 'utf8')).trimEnd().split('\n');
      expect(sums.length).toBe(files.length);
      for (const line of sums) {
        const [sum, file] = line.split('  ');
        const bytes = await readFile(path.join(out, file!));
        expect(createHash('sha256').update(bytes).digest('hex'), file).toBe(sum);
      }

      const sbom = JSON.parse(await readFile(path.join(out, files[0]!), 'utf8')) as Sbom;
      expect(sbom.metadata.component).toMatchObject({ name: 'fhir-rounds', version: manifest.version });
      const components = sbom.components.map(({ name }) => name);
      // CycloneDX parts a scoped name into group and name.
      const bare = (name: string) => name.slice(name.lastIndexOf('/') + 1);
      const named = new Set(components.map(bare));
      for (const one of Object.keys(manifest.dependencies)) expect(named, one).toContain(bare(one));
      expect(components).not.toContain('vitest');

      await run('tar', ['-xzf', path.join(out, `${name}.tar.gz`), '-C', folder]);
      const program = path.join(folder, name);
      const prebuilds = path.join(program, 'node_modules', '@photostructure', 'sqlite', 'prebuilds');
      expect(await readdir(prebuilds)).toEqual([HERE]);
      for (const one of Object.keys(manifest.devDependencies)) {
        await expect(readdir(path.join(program, 'node_modules', one)), one).rejects.toThrow('ENOENT');
      }
      await chmod(program, 0o500);
      await chmod(path.join(program, 'config'), 0o500);
      // Nothing but `node` and what a POSIX shell script needs; no npm, and no way to a registry.
      const bin = path.join(folder, 'bin');
      await mkdir(bin);
      await symlink(process.execPath, path.join(bin, 'node'));
      const site = path.join(folder, 'site');
      await mkdir(site);
      const env = { PATH: `${bin}:/usr/bin:/bin`, HOME: site, npm_config_registry: 'http://127.0.0.1:9' };
      const demo = await run(path.join(program, 'fhir-rounds'), ['demo'], { cwd: site, env });
      expect(demo.stdout).toMatch(/the folder holds all of them byte for byte/);
      expect(demo.stderr).not.toMatch(/installing|building/);
    },
  );

  it('refuses a platform that it cannot be made for', async () => {
    const release = path.join(ROOT, '.ci', 'release.mjs');
    await expect(run(process.execPath, [release, '--platform', 'sunos-x64'])).rejects.toMatchObject({
      code: 2,
      stderr: expect.stringContaining('no such platform: sunos-x64'),
    });
  });
});
