// The console's tables: 1,000,000 Observations of 1.1 GB as an uploaded file, looked at through the pages' own routes in a
// process of its own. The first look makes the index.
import { Buffer } from 'node:buffer';
import { createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { measured } from './processes.mjs';

const OBSERVATIONS = 1_000_000;
const PATIENTS = 10_000;
const UPLOAD_ID = 'upload-20260101T000000Z-0000';
const CODES = [
  ['8302-2', 'Body Height', 'cm', 150, 200],
  ['29463-7', 'Body Weight', 'kg', 40, 140],
  ['8867-4', 'Heart rate', '/min', 50, 120],
  ['2339-0', 'Glucose [Mass/volume] in Blood', 'mg/dL', 60, 220],
  ['2093-3', 'Cholesterol [Mass/volume] in Serum or Plasma', 'mg/dL', 120, 300],
  ['718-7', 'Hemoglobin [Mass/volume] in Blood', 'g/dL', 9, 18],
];

export async function* tableRounds(bench) {
  const folder = await mkdtemp(path.join(tmpdir(), 'fhir-rounds-bench-'));
  try {
    const count = bench.sized(OBSERVATIONS);
    await makeUpload(path.join(folder, 'uploads', UPLOAD_ID), count);
    const looked = await measured('lookAtTables.mjs', [folder, UPLOAD_ID, String(count)], {
      nodeArgs: bench.nodeArgs,
    });
    if (looked.code !== 0)
      throw new Error(`looking at the tables ended with ${looked.code}: ${looked.stderr}`);
    yield { ...JSON.parse(looked.stdout), rssMb: looked.peakRssMb };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** An upload as the console keeps it. */
async function makeUpload(folder, count) {
  await mkdir(folder, { recursive: true });
  const out = createWriteStream(path.join(folder, 'resources.ndjson'));
  let bytes = 0;
  let text = '';
  for (let no = 0; no < count; no++) {
    text += `${observation(no)}\n`;
    if (text.length < 1 << 20 && no + 1 < count) continue;
    bytes += Buffer.byteLength(text);
    if (!out.write(text)) await once(out, 'drain');
    text = '';
  }
  out.end();
  await once(out, 'close');
  const about = {
    label: 'bench',
    atMs: 0,
    bytes,
    sha256: 'none',
    types: { Observation: count },
    badLines: 0,
    bad: [],
  };
  await writeFile(path.join(folder, 'upload.json'), JSON.stringify(about));
}

/** Some kilobyte, of which most differs from one to the next. The same for the same number. */
function observation(no) {
  const [loinc, display, unit, low, high] = CODES[no % CODES.length];
  const mixed = Math.imul(no + 1, 0x9e3779b1) >>> 0;
  const value = (low + ((mixed % 10_000) / 10_000) * (high - low)).toFixed(2);
  const date = new Date(Date.UTC(2000, 0, 1) + (mixed % 800_000) * 1_000_000)
    .toISOString()
    .replace('.000Z', '-05:00');
  const patient = `patient-${String(mixed % PATIENTS).padStart(26, '0')}`;
  const quantity = (text) =>
    `{"value":${text},"unit":"${unit}","system":"http://unitsofmeasure.org","code":"${unit}"}`;
  const category = loinc === '8867-4' ? 'vital-signs' : 'laboratory';
  return (
    `{"resourceType":"Observation","id":"${mixed.toString(16).padStart(8, '0')}-${String(no).padStart(27, '0')}",` +
    `"meta":{"versionId":"1","lastUpdated":"${date}","profile":["http://hl7.org/fhir/us/core/StructureDefinition/us-core-observation-lab"]},` +
    `"status":"final","category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"${category}","display":"${category}"}]}],` +
    `"code":{"coding":[{"system":"http://loinc.org","code":"${loinc}","display":"${display}"}],"text":"${display}"},` +
    `"subject":{"reference":"Patient/${patient}","display":"Name${mixed % 9999}, Given"},"encounter":{"reference":"Encounter/${patient}-${mixed % 97}"},` +
    `"effectiveDateTime":"${date}","issued":"${date}","valueQuantity":${quantity(value)},` +
    `"referenceRange":[{"low":${quantity(low + 5)},"high":${quantity(high - 10)},"text":"${low + 5} - ${high - 10} ${unit}"}]}`
  );
}
