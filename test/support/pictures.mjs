// `npm run pictures`: the README's pictures of a report and of the console, taken from the demo's own. Needs Chromium.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
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
  const run = current.path;
  for (const colorScheme of ['light', 'dark']) {
    await picture(await pageOf(browser, colorScheme, 1120), `report-${colorScheme}`, {
      url: pathToFileURL(path.join(exports, run, 'report.html')).href,
    });
  }
  const served = await startConsole();
  try {
    for (const colorScheme of ['light', 'dark']) {
      const page = await pageOf(browser, colorScheme, 760, 1120);
      await page.goto(await newLink());
      await picture(page, `console-overview-${colorScheme}`, { url: served.origin });
      await picture(page, `console-run-${colorScheme}`, { url: `${served.origin}/runs/${run}` });
    }
  } finally {
    served.child.kill('SIGINT');
    await once(served.child, 'close');
  }
  await browser.close();
} finally {
  await rm(work, { recursive: true, force: true });
}

async function pageOf(browser, colorScheme, height, width = 800) {
  const context = await browser.newContext({
    colorScheme,
    viewport: { width, height },
    deviceScaleFactor: 1.25,
  });
  return context.newPage();
}

/** A page that is still being made ready (an index) says so by `Refresh`. */
async function picture(page, name, { url }) {
  while ((await page.goto(url))?.headers()['refresh'] !== undefined) await page.waitForTimeout(300);
  await page.waitForTimeout(300);
  const file = path.join(OUT, `${name}.png`);
  await page.screenshot({ path: file });
  const { size } = await stat(file);
  process.stdout.write(`${path.relative(ROOT, file)}: ${size} bytes\n`);
  if (size > MOST_BYTES) throw new Error(`${file} is larger than ${MOST_BYTES} bytes`);
}

function consoleArgs(...more) {
  const ini = path.join(work, 'data', 'demo', 'fhir-rounds.ini');
  return [path.join(ROOT, 'src', 'bootstrap.mjs'), 'console', '--json', '--config', ini, ...more];
}

async function startConsole() {
  const child = spawn(process.execPath, consoleArgs(), {
    cwd: work,
    env: { ...process.env, FHIR_ROUNDS_CONSOLE_PORT: '0' },
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const [line] = await once(createInterface({ input: child.stdout }), 'line');
  return { child, origin: JSON.parse(line).origin };
}

function newLink() {
  const { stdout } = spawnSync(process.execPath, consoleArgs('--link'), { cwd: work, encoding: 'utf8' });
  return JSON.parse(stdout).link;
}
