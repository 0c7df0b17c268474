import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { readResourceList } from '../../src/inputs/resourceList.ts';
import { RESOURCE_TYPES } from '../../src/fhir/resourceTypes.ts';
import { scanRoster } from '../../src/inputs/patientRoster.ts';
import { inputProblems, writeInput } from './support.ts';

const EXAMPLES = path.join(import.meta.dirname, '..', '..', 'data');

async function read(content: string) {
  return await readResourceList(await writeInput('resources.csv', content));
}

const problems = (content: string) => inputProblems(read(content));

describe('readResourceList', () => {
  it('unites the rows of a type', async () => {
    const rows = [
      'Patient,,',
      'Observation,labs,category=laboratory',
      'Condition,,',
      'Observation,,category=vital-signs',
    ];
    expect(
      await read(`resource,description,query\n${rows.join('\n')}\nObservation,again,category=laboratory\n`),
    ).toEqual([
      { resourceType: 'Patient', queries: [''], line: 2 },
      { resourceType: 'Observation', queries: ['category=laboratory', 'category=vital-signs'], line: 3 },
      { resourceType: 'Condition', queries: [''], line: 4 },
    ]);
  });

  it.each([
    ['one column', 'resource\nPatient\n'],
    ['CRLF and a BOM', '\ufeffresource,description\r\nPatient,"x, y"\r\n'],
    ['semicolons', 'Resource;Query\nPatient;\n'],
    [
      'disabled rows, however wrong',
      'resource,query,enabled\nPatient,,yes\nNonsense,???,no\nObservation,,0\n',
    ],
    ['enabled left empty', 'enabled,resource\n,Patient\noff,Condition\n'],
  ])('reads a list with %s', async (_, content) => {
    expect(await read(content)).toEqual([{ resourceType: 'Patient', queries: [''], line: 2 }]);
  });

  it.each([
    'category=laboratory',
    'category=http://terminology.hl7.org/CodeSystem/observation-category|laboratory',
    'date=ge2020-01-01&date=lt2021-01-01',
    'code=4548-4,2339-0',
    'code:text=blood%20pressure',
    'performer:Organization.name=x',
    '_include=MedicationRequest:medication',
    '_revinclude=Provenance:target',
    '_id=abc',
  ])('takes the query %s', async (query) => {
    const [listed] = await read(`resource,query\nObservation,"${query}"\n`);
    expect(listed?.queries).toEqual([query]);
  });

  it.each([
    ['?category=x', 'begins with ?; write name=value alone'],
    ['category', 'is not name=value, joined by &'],
    ['category=', 'is not name=value, joined by &'],
    ['=x', 'is not name=value, joined by &'],
    ['a=1&&b=2', 'is not name=value, joined by &'],
    ['a b=1', 'is not name=value, joined by &'],
    ['patient=1', 'patient is set to each patient of the roster; remove it'],
    ['code=1&subject:Patient=1', 'subject:Patient is set to each patient of the roster; remove it'],
    ['patient.identifier=1', 'patient.identifier is set to each patient of the roster; remove it'],
    ['_count=5', '_count is set by [api_settings] page_size; remove it'],
    ['_format=xml', '_format is always JSON; remove it'],
    ['_summary=true', '_summary would store parts of resources in place of the whole; remove it'],
    ['_elements=id', '_elements would store parts of resources in place of the whole; remove it'],
    [
      '_since=2020',
      '_since would leave out what an earlier run may have missed, and each run is a full snapshot; remove it',
    ],
    ['page=2', 'page is a place within pages, which the server gives in its next link; remove it'],
    ['_getpages=x', '_getpages is a place within pages, which the server gives in its next link; remove it'],
    ['code=100%', 'code has a % that begins no percent-encoded byte; write %25'],
    ['code=%zz', 'code has a % that begins no percent-encoded byte; write %25'],
    ['code=%ff', 'code has percent-encoded bytes that are no UTF-8; encode the text as UTF-8'],
    ['code=a b', 'code has a character that a URL cannot hold; percent-encode it (%20 for a blank)'],
    ['code=ü', 'code has a character that a URL cannot hold; percent-encode it (%20 for a blank)'],
    ['code=a#b', 'code has a character that a URL cannot hold; percent-encode it (%20 for a blank)'],
    [
      'date=2020-01-01T00:00:00+01:00',
      'date has a +, which servers read as a blank; write %2B (or %20 for a blank)',
    ],
  ])('refuses the query %s', async (query, what) => {
    expect(await problems(`resource,query\nObservation,"${query}"\n`)).toEqual([
      `resources.csv:2:2: ${what}`,
    ]);
  });

  it('gives all problems at once', async () => {
    const rows = [
      'observation,,',
      'Patient,,perhaps',
      'Observatoin,,',
      ',,',
      'Condition,patient=1,',
      'Patient',
      'DomainResource,,',
    ];
    expect(await problems(`resource,query,enabled\n${rows.join('\n')}\n`)).toEqual([
      'resources.csv:2:1: is no R4 resource type; did you mean Observation?',
      'resources.csv:3:3: is neither true nor false; write one of them, or nothing for true',
      'resources.csv:4:1: is no R4 resource type; did you mean Observation?',
      'resources.csv:5:1: names no resource type',
      'resources.csv:6:2: patient is set to each patient of the roster; remove it',
      'resources.csv:7: has 1 fields where the header has 3; write the missing ones',
      'resources.csv:8:1: is no R4 resource type',
    ]);
  });

  it.each([
    [
      'type\nPatient\n',
      'resources.csv:1: has no column resource; write a header such as resource,description,query,enabled',
    ],
    [
      'resource,enabled\nPatient,no\n',
      'resources.csv: has no enabled row; write one for each resource type to pull',
    ],
    ['resource\n', 'resources.csv: has no enabled row; write one for each resource type to pull'],
  ])('refuses %j', async (content, problem) => {
    expect(await problems(content)).toEqual([problem]);
  });

  it('knows the types of R4', () => {
    expect(RESOURCE_TYPES.size).toBe(146);
    for (const type of ['Patient', 'MedicationRequest', 'EpisodeOfCare'])
      expect(RESOURCE_TYPES.has(type)).toBe(true);
    // R3 and R5 names, and the abstract ones
    for (const type of ['Sequence', 'ProcedureRequest', 'Permission', 'Resource'])
      expect(RESOURCE_TYPES.has(type)).toBe(false);
  });
});

describe('the examples', () => {
  it('are right', async () => {
    const listed = await readResourceList(path.join(EXAMPLES, 'resources.example.csv'));
    expect(listed.find(({ resourceType }) => resourceType === 'Observation')?.queries).toHaveLength(3);
    const roster = path.join(EXAMPLES, 'roster.example.csv');
    expect(await scanRoster(roster, { badRows: 'stop' })).toMatchObject({ patients: 7, mrns: 0 });
  });
});
