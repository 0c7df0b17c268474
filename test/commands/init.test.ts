import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { epicApis } from '../../src/views/epicApis.ts';
import { runCli } from '../support/cli.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';
import { HAS_TERMINAL, runOnTerminal } from '../support/terminal.ts';

describe('the APIs to tick at Epic', () => {
  const names = (resourceType: string, ...queries: string[]): readonly string[] =>
    epicApis([{ resourceType, queries, line: 2 }]).map(({ name }) => name);

  it('are those of the categories that the list asks for, or all of the type', () => {
    expect(names('Observation', 'category=laboratory', 'category=vital-signs')).toEqual([
      'Observation.Read (Labs) (R4)',
      'Observation.Read (Vital Signs) (R4)',
      'Observation.Search (Labs) (R4)',
      'Observation.Search (Vital Signs) (R4)',
    ]);
    expect(names('Observation', 'code=1234-5')).toHaveLength(14);
    expect(names('Observation')).toHaveLength(14);
    expect(names('Patient', '')).toEqual([
      'Patient.Read (Demographics) (R4)',
      'Patient.Search (Demographics) (R4)',
    ]);
    expect(names('Practitioner', '')).toEqual(['Practitioner.Read (Organizational Directory) (R4)']);
  });

  it('are marked as a guess where no list of the portal’s names has them', () => {
    expect(epicApis([{ resourceType: 'Flag', queries: [''], line: 2 }])).toEqual([
      { name: 'Flag.Read (R4)', certainty: 'L' },
      { name: 'Flag.Search (R4)', certainty: 'L' },
    ]);
  });
});

describe('init', () => {
  const BASE = 'https://fhir.example.org/interconnect/api/FHIR/R4';

  it('without a terminal asks nothing, and says what to do at Epic, both ways', async () => {
    const folder = await temporaryFolder();
    await writeFile(path.join(folder, 'mine.csv'), 'fhir_id\nabc\n');
    const { code, stdout, stderr } = await runCli(
      ['init', '--client-id', 'my-client', '--base', BASE, '--roster', 'mine.csv'],
      { cwd: folder },
    );
    expect(code, stderr).toBe(0);
    for (const text of ['keys jwks --out', 'config/certificate.pem', 'Epic user', 'Backend Systems']) {
      expect(stdout).toContain(text);
    }
    expect(stdout).toMatch(/thumbprint [0-9A-F]{40}/);
    expect(stdout).toMatch(/^ {2}Observation\.Search \(Labs\) \(R4\)$/m);
    expect(stdout).not.toContain('Study Finding');
    const ini = await readFile(path.join(folder, 'config', 'fhir-rounds.ini'), 'utf8');
    expect(ini).toMatch(/^client_id = my-client$/m);
    expect(ini).toMatch(new RegExp(`^epic_sandbox_roster = ${path.join(folder, 'mine.csv')}$`, 'm'));
    const ready = await runCli(['check', '--offline'], { cwd: folder });
    expect(ready.code, ready.stdout + ready.stderr).toBe(0);
  });

  it('refuses a base that will not do and a roster that is not there, before it writes anything', async () => {
    const folder = await temporaryFolder();
    const plain = await runCli(['init', '--base', 'http://fhir.example.org/R4'], { cwd: folder });
    expect(plain).toMatchObject({ code: 2, stderr: expect.stringContaining('not https') as string });
    const missing = await runCli(['init', '--roster', 'none.csv'], { cwd: folder });
    expect(missing.code).toBe(2);
    expect((await runCli(['check'], { cwd: folder })).stderr).toContain('CONFIG_MISSING');
  });

  it.runIf(HAS_TERMINAL)(
    'at a terminal asks for what was not given, and asks again for what will not do',
    async () => {
      const folder = await temporaryFolder();
      const { code, screen } = await runOnTerminal(['init', '--folder', folder], {
        input: `typed-client\nnot a url\n${BASE}\n\n`,
      });
      expect(code, screen).toBe(0);
      expect(screen).toContain('It will not do: it is not an absolute URL.');
      const ini = await readFile(path.join(folder, 'config', 'fhir-rounds.ini'), 'utf8');
      expect(ini).toMatch(/^client_id = typed-client$/m);
      expect(ini).toContain(`epic_endpoint = ${BASE}`);
      expect(await readFile(path.join(folder, 'data', 'roster.csv'), 'utf8')).toContain('fhir_id');
    },
  );
});
