import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { chromium, type Browser, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { renderReport } from '../../src/report/render.ts';
import type { RunSummary } from '../../src/report/summary.ts';
import { findChromium } from '../support/chromium.ts';
import { causeOf, counts, largeSummary, markedSummary, summaryOf } from './sampleSummary.ts';
import { lowContrast, tableFaults } from './pageChecks.ts';

const executablePath = findChromium();
/** Where screenshots go when a person wants to look: FHIR_ROUNDS_TEST_SHOTS=/tmp/shots npm test -- report/browser */
const shots = process.env['FHIR_ROUNDS_TEST_SHOTS'];

const partial = causeOf({ outcome: 'failed', code: 'HTTP_SERVER', failure: 'transient', httpStatus: 503 });
const failure = { code: 'TOKEN_REFUSED', message: 'the token was refused', hint: 'Look at the key.' };
const PAGES: Readonly<Record<string, RunSummary>> = {
  ok: summaryOf(),
  marked: markedSummary(),
  large: largeSummary(),
  partial: summaryOf({ status: 'partial', causes: [partial, causeOf()], searches: counts(20, 6, 3, 3) }),
  failed: summaryOf({ status: 'failed', failure, types: [], folder: undefined }),
};
const WIDTHS = [320, 414, 560, 768, 1200];

describe.skipIf(executablePath === undefined)('the report in Chromium', () => {
  let browser: Browser;

  beforeAll(async () => {
    // As root, as in a container, Chromium runs without its sandbox only; it shows nothing but our own pages.
    browser = await chromium.launch({ executablePath: executablePath!, args: ['--no-sandbox'] });
    if (shots !== undefined) await mkdir(shots, { recursive: true });
  });
  afterAll(() => browser.close());

  async function show(name: string, colorScheme: 'light' | 'dark', full: boolean): Promise<Page> {
    const context = await browser.newContext({ colorScheme, viewport: { width: 1200, height: 900 } });
    const page = await context.newPage();
    const options = { timezone: 'Europe/Berlin', locale: 'en', full } as const;
    await page.setContent(renderReport(PAGES[name]!, options).html);
    return page;
  }

  it.each(Object.keys(PAGES))('%s fits every screen from 320 to 1200 px, in light and dark', async (name) => {
    for (const scheme of ['light', 'dark'] as const) {
      const page = await show(name, scheme, true);
      for (const width of WIDTHS) {
        await page.setViewportSize({ width, height: 900 });
        const [content = 0, screen = 0] = await page.evaluate(() => {
          const { scrollWidth, clientWidth } = document.documentElement;
          return [scrollWidth, clientWidth];
        });
        expect.soft(content, `${scheme} at ${width} px`).toBeLessThanOrEqual(screen);
        expect.soft(await page.evaluate(lowContrast), `${scheme} at ${width} px`).toEqual([]);
        if (shots !== undefined) {
          await page.screenshot({ path: path.join(shots, `${name}-${scheme}-${width}.png`), fullPage: true });
        }
      }
      await page.context().close();
    }
  });

  it('asks for nothing outside, and runs no script', async () => {
    for (const name of Object.keys(PAGES)) {
      const context = await browser.newContext();
      const page = await context.newPage();
      const asked: string[] = [];
      page.on('request', (request) => asked.push(request.url()));
      await page.setContent(renderReport(PAGES[name]!, { timezone: 'UTC', locale: 'en' }).html);
      expect(asked).toEqual([]);
      expect(await page.evaluate(() => document.querySelectorAll('script,img,link,iframe,a').length)).toBe(0);
      await context.close();
    }
  });

  it('says language, title, one first heading, and what each row and column is', async () => {
    for (const name of Object.keys(PAGES)) {
      const page = await show(name, 'light', true);
      expect(await page.evaluate(tableFaults), name).toEqual([]);
      expect(await page.evaluate(() => [document.documentElement.lang, document.title.length > 10])).toEqual([
        'en',
        true,
      ]);
      expect(await page.evaluate(() => document.querySelectorAll('h1').length)).toBe(1);
      await page.context().close();
    }
  });
});
