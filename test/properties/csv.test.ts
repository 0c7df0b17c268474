import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CsvFile } from '../../src/inputs/csv.ts';
import { readRoster } from '../../src/inputs/patientRoster.ts';
import { RoundsError } from '../../src/errors.ts';
import { all, writeInput } from '../inputs/support.ts';

const cell = fc.string({ unit: fc.constantFrom(...'abz019 ,;"\t\r\n李😀é.-'.match(/./gsu)!), maxLength: 12 });
const quoted = (text: string): string => `"${text.replaceAll('"', '""')}"`;

async function cellsOf(file: string): Promise<readonly (readonly string[])[]> {
  const csv = await CsvFile.open(file);
  try {
    const rows = [];
    for await (const batch of csv.batches()) for (const row of batch) rows.push(row.cells);
    return rows;
  } finally {
    await csv.close();
  }
}

describe('a CSV', () => {
  it('gives back every field that was written in quotes', async () => {
    const rows = fc.array(fc.tuple(cell, cell, cell), { minLength: 1, maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(
        rows,
        fc.constantFrom('\n', '\r\n'),
        fc.boolean(),
        fc.boolean(),
        async (list, end, bom, last) => {
          const lines = ['a,b,c', ...list.map((fields) => fields.map(quoted).join(','))];
          const text = `${bom ? '\ufeff' : ''}${lines.join(end)}${last ? end : ''}`;
          const found = await cellsOf(await writeInput('rows.csv', text));
          expect(found).toEqual(list);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('that is a roster gives back its ids in order, and names none of them when it refuses', async () => {
    const patientId = fc.stringMatching(/^[A-Za-z0-9.-]{8,40}$/);
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(patientId, { minLength: 1, maxLength: 12 }),
        cell,
        async (ids, name) => {
          const lines = ['name,fhir_id', ...ids.map((id) => `${quoted(name)},${id}`)];
          const file = await writeInput('roster.csv', `${lines.join('\n')}\n`);
          try {
            const rows = await all(
              readRoster(file, { badRows: 'stop', signal: new AbortController().signal }),
            );
            expect(rows.map((row) => row.patientId)).toEqual(ids);
          } catch (error) {
            if (!(error instanceof RoundsError)) throw error;
            const said = `${error.message} ${JSON.stringify(error.problems)} ${error.stack ?? ''}`;
            for (const id of ids) expect(said).not.toContain(id);
          }
        },
      ),
      { numRuns: 60 },
    );
  });
});
