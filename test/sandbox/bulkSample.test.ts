import { describe, expect, it } from 'vitest';
import { startSandbox } from '../../src/sandbox/startSandbox.ts';
import { exported, GROUP, keysOf, tokenAt } from './support/bulk.ts';
import { rsaKey } from './support/client.ts';
import { onceEach, sampleLines, synthea } from '../support/sampleData.ts';

describe.runIf(synthea !== undefined)('the Synthea sample', () => {
  it('is exported byte for byte as in its files: the system, and a group', async () => {
    const folder = synthea ?? '';
    const lines = sampleLines(folder);
    const unique = onceEach(lines);
    expect(unique.length).toBe(8849);
    const member = lines[0]?.patientId ?? '';
    const sandbox = await startSandbox({
      smtp: false,
      dialect: 'us-core',
      dataDir: folder,
      bulk: { polls: 0, resourcesPerFile: 500, groups: { [GROUP]: [member] } },
    });
    try {
      const token = await tokenAt(sandbox, rsaKey(), Date.now());
      const system = await exported(sandbox, token, '$export');
      expect(keysOf(system.lines)).toEqual(keysOf(unique));
      const group = await exported(sandbox, token, `Group/${GROUP}/$export`);
      expect(keysOf(group.lines)).toEqual(keysOf(lines.filter((line) => line.patientId === member)));
    } finally {
      await sandbox.close();
    }
  });
});
