import { existsSync, readFileSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { chromium, type Browser, type BrowserContext, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findChromium } from '../support/chromium.ts';
import { until } from '../support/cli.ts';
import { startConsole, startConsoleProcess, type ConsoleProcess } from '../support/consoleClient.ts';
import { synthea } from '../support/sampleData.ts';
import { HOSTILE_LINES } from './records/hostile.ts';
import { makeSite, siteForTest, type Site } from '../support/site.ts';

const executablePath = findChromium();
/** Where screenshots go when a person wants to look: FHIR_ROUNDS_TEST_SHOTS=/tmp/shots npm test -- console/browser */
const shots = process.env['FHIR_ROUNDS_TEST_SHOTS'];
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

const WIDTHS = [360, 768, 1440];
const TYPES = [
  ...['Patient', 'Observation', 'Condition', 'Encounter', 'MedicationRequest', 'Immunization', 'Procedure'],
  ...['DiagnosticReport', 'AllergyIntolerance', 'DocumentReference', 'CarePlan', 'Coverage'],
  ...['ExplanationOfBenefit', 'Appointment', 'Practitioner', 'Organization', 'Binary'],
] as const;

interface Shown {
  readonly site: Site;
  readonly running: ConsoleProcess;
  readonly runId: string;
  readonly patientId: string;
  readonly observationId: string;
  /** Those of TYPES that came. */
  readonly types: readonly string[];
  readonly context: BrowserContext;
}

/** A site with one run, and a browser that is logged in to its console. */
async function show(browser: Browser, site: Site): Promise<Shown> {
  const { code, stderr } = await site.run(['run']);
  if (code !== 0 && code !== 3) throw new Error(`the run ended with ${code}:\n${stderr}`);
  const current = await readFile(path.join(site.exportFolder, 'default', 'current.json'), 'utf8');
  const { runId } = JSON.parse(current) as { runId: string };
  const idOf = async (type: string): Promise<string> => {
    const text = await readFile(path.join(site.exportFolder, 'default', runId, `${type}.ndjson`), 'utf8');
    return (JSON.parse(text.split('\n')[0]!) as { id: string }).id;
  };
  const running = await startConsoleProcess(site);
  const context = await browser.newContext();
  await (await context.newPage()).goto(running.link);
  return {
    site,
    running,
    runId,
    patientId: await idOf('Patient'),
    observationId: await idOf('Observation'),
    types: TYPES.filter((type) =>
      existsSync(path.join(site.exportFolder, 'default', runId, `${type}.ndjson`)),
    ),
    context,
  };
}

function pagesOf({ runId, patientId, observationId, types }: Shown): Readonly<Record<string, string>> {
  return {
    overview: '/',
    runs: '/runs',
    run: `/runs/${runId}`,
    data: '/data',
    source: `/data/${runId}`,
    ...Object.fromEntries(types.map((type) => [`table-${type}`, `/data/${runId}/${type}`])),
    resource: `/data/${runId}/Observation/${observationId}`,
    patient: `/data/${runId}/patients/${patientId}`,
    sql: `/sql/${runId}`,
    registration: '/registration',
    api: '/api',
    missing: '/no/such/page',
  };
}

/** Everything of a page that should not be: what Chromium complains of, what axe finds, what is wider than the screen. */
async function faultsOf(page: Page, address: string, name: string): Promise<readonly string[]> {
  const faults: string[] = [];
  const origin = new URL(address).origin;
  page.on('pageerror', (error) => faults.push(`error: ${error.message}`));
  page.on('console', (message) => {
    // A page that is missing on purpose is told of as such.
    if (message.type() === 'error' && !name.endsWith('missing')) faults.push(`console: ${message.text()}`);
  });
  page.on('request', (request) => {
    if (new URL(request.url()).origin !== origin) faults.push(`request: ${request.url()}`);
  });
  // A table that is indexed for the first time says so, and is asked for again.
  while ((await page.goto(address))?.headers()['refresh'] !== undefined) await page.waitForTimeout(300);
  if ((await page.evaluate(() => window.scrollY)) !== 0) faults.push('does not begin at its top');
  for (const width of WIDTHS) {
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.setViewportSize({ width, height: 900 });
      await page.emulateMedia({ colorScheme });
      const wide = await page.evaluate(
        () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
      );
      if (wide > 0) faults.push(`${wide} px wider than ${width} px`);
      if (shots !== undefined) {
        await page.screenshot({
          path: path.join(shots, `${name}-${colorScheme}-${width}.png`),
          fullPage: true,
        });
      }
    }
    // Contrast is another in the dark, and the layout another at each width; the rest is as it was.
    for (const colorScheme of width === WIDTHS[0] ? (['light', 'dark'] as const) : (['dark'] as const)) {
      await page.emulateMedia({ colorScheme });
      faults.push(...(await violationsOf(page)).map((one) => `axe at ${width} px, ${colorScheme}: ${one}`));
    }
  }
  return faults;
}

/** What axe-core finds, all of its rules on. It is handed in by the debugger, which the page's own policy does not bind. */
async function violationsOf(page: Page): Promise<readonly string[]> {
  return page.evaluate(async (source) => {
    const scope = globalThis as unknown as { axe?: { run(): Promise<{ violations: AxeViolation[] }> } };
    if (scope.axe === undefined) (0, eval)(source);
    interface AxeViolation {
      readonly id: string;
      readonly nodes: readonly { readonly target: readonly unknown[]; readonly failureSummary?: string }[];
    }
    const { violations } = await scope.axe!.run();
    return violations.flatMap(({ id, nodes }) =>
      nodes
        .slice(0, 3)
        .map(({ target, failureSummary }) => `${id} at ${target.join(' ')}: ${failureSummary ?? ''}`),
    );
  }, AXE);
}

describe.skipIf(executablePath === undefined)('the console in Chromium', () => {
  let browser: Browser;
  beforeAll(async () => {
    // As root, as in a container, Chromium runs without its sandbox only; it shows nothing but our own pages.
    browser = await chromium.launch({ executablePath: executablePath!, args: ['--no-sandbox'] });
    if (shots !== undefined) await mkdir(shots, { recursive: true });
  });
  afterAll(() => browser.close());

  describe('on the demo’s data', () => {
    let shown: Shown;
    beforeAll(async () => {
      shown = await show(
        browser,
        await makeSite({
          ...{ mail: false, sandbox: { patients: 7, special: true }, resources: TYPES },
          settings: { 'schedule.cron': '0 2 * * *' },
        }),
      );
    }, 120_000);
    afterAll(async () => {
      await shown.running.stop();
      await shown.site.close();
    });

    it('every page is whole, for every eye, width and light', { timeout: 300_000 }, async () => {
      expect(shown.types).toEqual(TYPES);
      for (const [name, at] of Object.entries(pagesOf(shown))) {
        const page = await shown.context.newPage();
        expect.soft(await faultsOf(page, shown.running.origin + at, name), name).toEqual([]);
        await page.close();
      }
    });

    it('is used with the keyboard alone', async () => {
      const page = await shown.context.newPage();
      await page.goto(shown.running.origin);
      // The first stop leads past the navigation.
      await page.keyboard.press('Tab');
      expect(await page.evaluate(() => document.activeElement?.textContent)).toBe('To the content');
      await page.keyboard.press('Enter');
      await follow(page, 'Dry run');
      expect(page.url()).toBe(`${shown.running.origin}/`);
      expect(await page.textContent('main')).toMatch(/dry-run.*waiting/s);
      await follow(page, 'Data');
      await follow(page, shown.runId);
      await follow(page, 'Patient');
      expect(page.url()).toMatch(/\/Patient$/);
      await until('the table', async () => (await page.locator('table tbody tr').count()) > 0);
      // Whatever has the focus shows it.
      for (let step = 0; step < 25; step++) {
        await page.keyboard.press('Tab');
        const seen = await page.evaluate(() => {
          const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement!);
          return `${outlineStyle} ${outlineWidth}`;
        });
        expect(seen).not.toMatch(/^none|0px$/);
      }
      await page.close();
    });

    it('sends a session that is over to the log-in, and nothing of the page stays', async () => {
      const context = await browser.newContext();
      const page = await context.newPage();
      const { stdout } = await shown.site.run(['console', '--link']);
      await page.goto(stdout.trim());
      await page.goto(`${shown.running.origin}/runs/${shown.runId}`);
      await Promise.all([page.waitForEvent('load'), page.click('text=Log out')]);
      await page.goBack();
      expect(await page.textContent('main')).toContain('fhir-rounds console --link');
      await context.close();
    });
  });

  describe.skipIf(synthea === undefined)('on real-looking data', () => {
    let shown: Shown;
    beforeAll(async () => {
      shown = await show(
        browser,
        await makeSite({ mail: false, sandbox: { dataDir: synthea!, dialect: 'us-core' }, resources: TYPES }),
      );
    }, 120_000);
    afterAll(async () => {
      await shown.running.stop();
      await shown.site.close();
    });

    it('every page is whole, for every eye, width and light', { timeout: 300_000 }, async () => {
      for (const [name, at] of Object.entries(pagesOf(shown))) {
        const page = await shown.context.newPage();
        expect.soft(await faultsOf(page, shown.running.origin + at, `sample-${name}`), name).toEqual([]);
        await page.close();
      }
    });
  });

  it('takes a file full of tricks for what it is: text', { timeout: 120_000 }, async () => {
    const site = await siteForTest({ mail: false });
    const { origin, link } = await startConsole(site);
    const context = await browser.newContext();
    const page = await context.newPage();
    const faults: string[] = [];
    page.on('dialog', (dialog) => {
      faults.push(`dialog: ${dialog.message()}`);
      void dialog.dismiss();
    });
    page.on('console', (message) => message.type() === 'error' && faults.push(message.text()));
    page.on('request', (request) => new URL(request.url()).origin !== origin && faults.push(request.url()));
    await page.goto(link);
    await page.goto(`${origin}/data`);
    await page.setInputFiles('input[type=file]', {
      name: '../../<img src=x onerror=alert(1)>.ndjson',
      mimeType: 'application/x-ndjson',
      buffer: Buffer.from(`${HOSTILE_LINES.join('\n')}\n`),
    });
    await page.click('form[data-upload] button');
    await page.waitForURL('**/data/upload-*');
    const source = page.url();
    for (const at of [
      ...[
        '',
        '/Patient',
        '/Observation',
        '/Basic',
        '/Patient/hostile',
        '/Observation/-?row=2',
        '/Observation/no-shape',
      ],
      ...[`/Observation/${encodeURIComponent('../../../../etc/passwd')}`, '/patients/hostile'],
    ]) {
      while ((await page.goto(source + at))?.headers()['refresh'] !== undefined)
        await page.waitForTimeout(200);
      for (const details of await page.locator('details').all()) {
        await details.evaluate((element) => ((element as HTMLDetailsElement).open = true));
      }
      expect
        .soft(await page.locator('main script, main img, main iframe, main svg[onload]').count(), at)
        .toBe(0);
      const links = await page
        .locator('main a')
        .evaluateAll((all) => all.map((one) => (one as HTMLAnchorElement).href));
      expect
        .soft(
          links.filter((href) => !href.startsWith(`${origin}/`)),
          at,
        )
        .toEqual([]);
    }
    expect(await page.textContent('main')).toContain('<script>alert(1)</script>');
    const csv = await page.evaluate(async (at) => (await fetch(at)).text(), `${source}/Patient/-/csv`);
    expect(csv).toContain("'=HYPERLINK");
    expect(csv).not.toMatch(/(^|,)"?[=@]/m);
    expect(faults).toEqual([]);
    await context.close();
  });

  it('shows a run as it goes on, without a click', { timeout: 120_000 }, async () => {
    const site = await siteForTest({
      ...{ mail: false, sandbox: { patients: 60, latencyMs: 80 } },
      settings: { 'api_settings.concurrency': 1 },
    });
    const { origin, link } = await startConsole(site);
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(link);
    expect(await page.locator('progress').count()).toBe(0);
    const run = await site.start(['run']);
    await page.waitForSelector('progress', { timeout: 30_000 });
    const value = () => page.evaluate(() => document.querySelector('progress')?.value ?? NaN);
    const first = await value();
    await until('progress', async () => (await value()) > first, 60_000);
    expect((await run.ended).code).toBe(0);
    await until('the end of it', async () => (await page.locator('progress').count()) === 0);
    expect(page.url()).toBe(`${origin}/`);
    await context.close();
  });

  it('loads scripts of less than 150 kB, gzipped', async () => {
    const { gzipSync } = await import('node:zlib');
    const { readdir } = await import('node:fs/promises');
    const folder = path.resolve(import.meta.dirname, '..', '..', 'src', 'console', 'assets');
    const scripts = (await readdir(folder)).filter((name) => name.endsWith('.js'));
    const sizes = await Promise.all(
      scripts.map(async (name) => gzipSync(await readFile(path.join(folder, name))).length),
    );
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(150 * 1024);
  });
});

/** Goes to a link or button by Tab alone, presses Enter, and waits for the page that it leads to. */
async function follow(page: Page, name: string): Promise<void> {
  for (let step = 0; step < 120; step++) {
    await page.keyboard.press('Tab');
    const text = await page.evaluate(() => document.activeElement?.textContent?.trim());
    if (text !== name) continue;
    const loaded = page.waitForEvent('load');
    await page.keyboard.press('Enter');
    await loaded;
    return;
  }
  throw new Error(`no Tab leads to ${name}`);
}
