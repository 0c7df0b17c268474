import { createRequire } from 'node:module';
import { expect, it, onTestFinished } from 'vitest';
import { createHttp } from '../../src/system/http.ts';
import { startServer } from '../support/httpServer.ts';

/** The files of a package that this process has loaded by require, within it. */
function loadedOf(packageName: string): readonly string[] {
  const folder = `/node_modules/${packageName}/`;
  return Object.keys(createRequire(import.meta.url).cache)
    .map((file) => file.replaceAll('\\', '/'))
    .filter((file) => file.includes(folder))
    .map((file) => file.slice(file.lastIndexOf(folder) + folder.length));
}

it('loads of undici and axios what requests go through, and not what else they bring', async () => {
  const { origin } = await startServer((response) => void response.end('{}'));
  const http = createHttp();
  onTestFinished(() => http.close());
  await http.request({ method: 'GET', url: origin });
  const opened = await http.open({ method: 'GET', url: origin });
  for await (const chunk of opened.body) expect(chunk.toString()).toBe('{}');

  const ofUndici = loadedOf('undici');
  expect(ofUndici).toContain('lib/dispatcher/agent.js');
  expect(ofUndici).not.toContain('index.js');
  expect(ofUndici.filter((file) => /fetch\/index|cookies|websocket|cache|mock|proxy/.test(file))).toEqual([]);
  expect(loadedOf('axios')).toEqual(['dist/browser/axios.cjs']);
  expect(loadedOf('form-data')).toEqual([]);
});
