// `npm run pictures`: the README's pictures of a report, taken from the demo's own. Needs Chromium.
import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { chromium } from 'playwright-core';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const OUT = path.join(ROOT, '.github', 'images');
/** So many that the report has runs to compare with. */
const RUNS = 9;
const MOST_BYTES = 200_000;

const found = ['chromium', 'chromium-browser', 'google-chrome']
  .flatMap((name) => (process.env.PATH ?? '').split(path.delimiter).map((folder) => path.join(folder, name)))
  .find((file) => spawnSync(file, ['--version']).status === 0);
if (found === undefined) throw new Error('no Chromium on the PATH: `apt install chromium`');

const work = await mkdtemp(path.join(tmpdir(), 'fhir-rounds-'));
try {
  for (let run = 1; run <= RUNS; run++) {
    const demo = spawnSync(process.execPath, [path.join(ROOT, 'src', 'bootstrap.mjs'), 'demo', '--quiet'], {
      cwd: work,
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    if (demo.status !== 0) throw new Error(`the demo ended with ${demo.status}`);
    console.log(`demo ${run} of ${RUNS}`);
  }
  const exports = path.join(work, 'exports', 'demo');
  const current = JSON.parse(await readFile(path.join(exports, 'current.json'), 'utf8'));
  await mkdir(OUT, { recursive: true });
  const browser = await chromium.launch({ executablePath: found, args: ['--no-sandbox'] });
  for (const colorScheme of ['light', 'dark']) {
    const viewport = { width: 800, height: 1120 };
    const context = await browser.newContext({ colorScheme, viewport, deviceScaleFactor: 1.25 });
    const page = await context.newPage();
    await page.goto(pathToFileURL(path.join(exports, current.path, 'report.html')).href);
    const file = path.join(OUT, `report-${colorScheme}.png`);
    await page.screenshot({ path: file });
    const { size } = await stat(file);
    console.log(`${path.relative(ROOT, file)}: ${size} bytes`);
    if (size > MOST_BYTES) throw new Error(`${file} is larger than ${MOST_BYTES} bytes`);
  }
  await browser.close();
} finally {
  await rm(work, { recursive: true, force: true });
}
