// The raw limit of a bulk export, a process of its own: node:http, each file streamed to the disk as it comes, so many at
// once, nothing looked at and nothing synced.
import { createWriteStream, readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import path from 'node:path';
import process from 'node:process';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';

const { origin, files, folder, concurrency, caFile, gzip } = JSON.parse(process.argv[2]);
const client = origin.startsWith('https:') ? https : http;
const agent = new client.Agent({
  keepAlive: true,
  ...(caFile === undefined ? {} : { ca: readFileSync(caFile) }),
});
let next = 0;

await Promise.all(Array.from({ length: concurrency }, worker));
agent.destroy();

async function worker() {
  while (next < files) await download(next++);
}

async function download(fileNo) {
  const response = await new Promise((resolve, reject) => {
    const url = `${origin}/bulk/files/${fileNo}.ndjson`;
    client.get(url, { agent, headers: { 'accept-encoding': 'gzip' } }, resolve).on('error', reject);
  });
  if (response.statusCode !== 200) throw new Error(`the fast server answered ${response.statusCode}`);
  const to = createWriteStream(path.join(folder, `${fileNo}.ndjson`));
  await (gzip ? pipeline(response, createGunzip(), to) : pipeline(response, to));
}
