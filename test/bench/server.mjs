// The fast server, a process of its own: what it serves is prepared before it listens, so that what is measured is who
// asks. Started by fork with its options as JSON; answers 'counts' with what it has counted since the last time.
import { Buffer } from 'node:buffer';
import { once } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import process from 'node:process';
import { setInterval, setTimeout } from 'node:timers';
import { gzipSync } from 'node:zlib';
import { bulkFileMaker, pageMaker, pagePath, patientIdOf, TYPES } from './population.mjs';

/** More searches than these are not prepared: their pages are made as they are asked for, in some 10 us. */
const PREPARED_SEARCHES = 5_000;
const FHIR = '/fhir';
const JSON_TYPE = 'application/fhir+json';
/** How often the number of requests under way is noted. */
const TRACE_EVERY_MS = 50;

const { types, patients, perSearch, latencyMs, limit, gzip, tls, bulk } = JSON.parse(process.argv[2]);
let counts = blankCounts();
let inside = 0;

const server = tls ? https.createServer(tls, answer) : http.createServer(answer);
server.keepAliveTimeout = 60_000;
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const origin = `${tls ? 'https' : 'http'}://127.0.0.1:${server.address().port}`;
const pageOf = pageMaker(origin + FHIR, perSearch);
const metadata = Buffer.from(JSON.stringify(capabilityStatement()));
const prepared = preparedPages();
const files = bulk ? preparedFiles() : new Map();
process.on('message', () => {
  process.send(counts);
  counts = blankCounts();
});
process.on('disconnect', () => process.exit());
process.send({ origin, base: origin + FHIR });
setInterval(trace, TRACE_EVERY_MS).unref();

function blankCounts() {
  return { searches: 0, bytes: 0, refused: 0, mostInside: 0, startsAtMs: [], trace: [] };
}

function trace() {
  if (counts.searches > 0) counts.trace.push({ atMs: Date.now(), inside });
}

/** With its compressed form where that is what will be asked for. */
function body(bytes) {
  return gzip ? gzipSync(bytes, { level: 1 }) : bytes;
}

function preparedPages() {
  const pages = new Map();
  if (patients * types.length > PREPARED_SEARCHES) return pages;
  for (let patientNo = 0; patientNo < patients; patientNo++) {
    for (const type of types) {
      const path = pagePath(type, patientIdOf(patientNo));
      pages.set(FHIR + path, body(pageOf(type, patientIdOf(patientNo).slice('bench-'.length), 0)));
    }
  }
  return pages;
}

function preparedFiles() {
  const make = bulkFileMaker(bulk.linesPerFile);
  const made = new Map();
  for (let fileNo = 0; fileNo < bulk.files; fileNo++) {
    const type = TYPES[fileNo % TYPES.length];
    // Held only when compressed: else it is a copy of some MB, made when it is asked for.
    const bytes = gzip ? body(make(type, fileNo)) : () => make(type, fileNo);
    made.set(`/bulk/files/${fileNo}.ndjson`, { type, bytes, etag: `"bench-${fileNo}"` });
  }
  return made;
}

function answer(request, response) {
  const { url, method } = request;
  if (method === 'POST') {
    const grant = { access_token: 'bench', token_type: 'bearer', expires_in: 3600, scope: 'system/*.read' };
    request.resume().on('end', () => sendJson(response, 200, Buffer.from(JSON.stringify(grant))));
  } else if (url === `${FHIR}/metadata`) sendJson(response, 200, metadata);
  else if (url.startsWith('/bulk/') || url.includes('$export')) answerBulk(request, response);
  else answerSearch(request, response);
}

function answerSearch({ url, headers }, response) {
  const page = prepared.get(url) ?? madePage(url);
  counts.searches++;
  counts.startsAtMs.push(Date.now());
  if (page === undefined) return refuse(response, 404);
  if (limit !== undefined && inside >= limit) {
    counts.refused++;
    return refuse(response, 429);
  }
  counts.mostInside = Math.max(counts.mostInside, ++inside);
  const finish = () => {
    inside--;
    counts.bytes += page.length;
    response.writeHead(200, {
      'content-type': JSON_TYPE,
      'content-length': page.length,
      ...(gzip && headers['accept-encoding']?.includes('gzip') ? { 'content-encoding': 'gzip' } : {}),
    });
    response.end(page);
  };
  if (latencyMs > 0) setTimeout(finish, latencyMs);
  else finish();
}

function madePage(url) {
  const [, type, patient, , page = '0'] =
    /^\/fhir\/(\w+)\?patient=bench-(\d{9})&_count=\d+(&page=(\d{6}))?$/.exec(url) ?? [];
  return types.includes(type) ? body(pageOf(type, patient, Number(page))) : undefined;
}

function refuse(response, status) {
  response.writeHead(status, { 'content-length': 0 });
  response.end();
}

function sendJson(response, status, bytes, headers = {}) {
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': bytes.length,
    ...headers,
  });
  response.end(bytes);
}

/** FHIR Bulk Data Access: an export that is done when it is first asked for. */
function answerBulk(request, response) {
  const { url, method, headers } = request;
  const file = files.get(url);
  if (file) return sendFile(file, headers.range, response);
  if (url.includes('$export')) {
    response.writeHead(202, { 'content-location': `${origin}/bulk/status`, 'content-length': 0 });
    return response.end();
  }
  if (method === 'DELETE') return refuse(response, 202);
  const manifest = {
    transactionTime: '2026-03-01T12:00:00.000Z',
    request: `${origin}${FHIR}/Group/$export`,
    requiresAccessToken: true,
    output: [...files].map(([path, { type }]) => ({ type, url: origin + path, count: bulk.linesPerFile })),
    error: [],
  };
  sendJson(response, 200, Buffer.from(JSON.stringify(manifest)));
}

function sendFile({ bytes, etag }, range, response) {
  const whole = typeof bytes === 'function' ? bytes() : bytes;
  const from = Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1] ?? 0);
  const part = whole.subarray(from);
  counts.bytes += part.length;
  response.writeHead(from > 0 ? 206 : 200, {
    'content-type': 'application/fhir+ndjson',
    'content-length': part.length,
    'accept-ranges': 'bytes',
    etag,
    ...(from > 0 ? { 'content-range': `bytes ${from}-${whole.length - 1}/${whole.length}` } : {}),
    ...(gzip ? { 'content-encoding': 'gzip' } : {}),
  });
  response.end(part);
}

function capabilityStatement() {
  const resource = types.map((type) => ({
    type,
    interaction: [{ code: 'read' }, { code: 'search-type' }],
    searchParam: ['_id', 'patient'].map((name) => ({ name, type: 'reference' })),
  }));
  resource.push({ type: 'Group', operation: [{ name: 'export' }] });
  return {
    resourceType: 'CapabilityStatement',
    status: 'active',
    kind: 'instance',
    fhirVersion: '4.0.1',
    format: ['json'],
    software: { name: 'The fast server of the benchmark' },
    rest: [{ mode: 'server', resource }],
  };
}
