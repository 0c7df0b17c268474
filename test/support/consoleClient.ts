import { request } from 'node:http';
import { onTestFinished } from 'vitest';
import { until, type CliOptions, type RunningCli } from './cli.ts';
import type { Site } from './site.ts';

export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly text: string;
}

export interface Sent {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly form?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** A browser's part of the talk, in plain HTTP: it keeps the cookie, and sends what a page's form would. */
export class ConsoleClient {
  readonly origin: string;
  cookie: string | undefined;
  csrf = '';

  constructor(origin: string) {
    this.origin = origin;
  }

  /** Sends exactly these headers beside Host, Cookie and Content-Length. */
  send(path: string, { method = 'GET', headers = {}, body = '' }: Sent = {}): Promise<Reply> {
    const { hostname, port } = new URL(this.origin);
    return new Promise((resolve, reject) => {
      const message = request(
        {
          // As it stands: the URL class would mend what a test wants to send.
          ...{ hostname, port, path, method },
          headers: {
            ...(this.cookie === undefined ? {} : { cookie: this.cookie }),
            'content-length': String(Buffer.byteLength(body)),
            ...headers,
          },
        },
        (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('error', reject);
          response.on('end', () =>
            resolve({
              status: response.statusCode!,
              headers: response.headers,
              text: Buffer.concat(chunks).toString('utf8'),
            }),
          );
        },
      );
      message.on('error', reject);
      message.end(body);
    });
  }

  get(path: string): Promise<Reply> {
    return this.send(path);
  }

  /** Sends a form as its page would. */
  post(path: string, form: Readonly<Record<string, string>> = {}): Promise<Reply> {
    return this.send(path, {
      method: 'POST',
      headers: { origin: this.origin, 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams({ ...form, csrf: this.csrf }).toString(),
    });
  }

  /** Follows a one-time link, and takes the token of the first page's forms. */
  async login(link: string): Promise<Reply> {
    const reply = await this.get(link.slice(this.origin.length));
    const [cookie] = [reply.headers['set-cookie'] ?? []].flat();
    if (reply.status !== 303 || cookie === undefined) return reply;
    this.cookie = cookie.split(';')[0]!;
    this.csrf = /name="csrf" value="([^"]+)"/.exec((await this.get('/')).text)?.[1] ?? '';
    return reply;
  }
}

/** A console as a process of its own. */
export interface ConsoleProcess extends RunningCli {
  readonly origin: string;
  /** The link that it printed, not followed yet. */
  readonly link: string;
  /** Interrupts it; it is seen to end well. May be repeated. */
  readonly stop: () => Promise<void>;
}

/** Starts the console of a site on any free port; it is the caller's to stop. */
export async function startConsoleProcess(site: Site, options?: CliOptions): Promise<ConsoleProcess> {
  const running = await site.start(['console', '--json'], {
    ...options,
    env: { FHIR_ROUNDS_CONSOLE_PORT: '0', ...options?.env },
  });
  const { child, output, ended } = running;
  let isOver = false;
  void ended.then(() => (isOver = true));
  const stop = async (): Promise<void> => {
    if (isOver) return;
    child.kill('SIGINT');
    const { code, stderr } = await ended;
    if (code !== 0) throw new Error(`the console ended with ${code}:\n${stderr}`);
  };
  await until('the console’s link', () => isOver || output.stdout.includes('\n'));
  if (isOver) throw new Error(`the console did not start:\n${output.stderr}`);
  const { origin, link } = JSON.parse(output.stdout) as { origin: string; link: string };
  return { ...running, origin, link, stop };
}

export interface RunningConsole extends ConsoleProcess {
  readonly client: ConsoleClient;
}

/** The same, ending with the test. */
export async function startConsole(site: Site, options?: CliOptions): Promise<RunningConsole> {
  const running = await startConsoleProcess(site, options);
  onTestFinished(() => running.stop());
  return { ...running, client: new ConsoleClient(running.origin) };
}

/** The same, logged in. */
export async function openConsole(site: Site, options?: CliOptions): Promise<RunningConsole> {
  const running = await startConsole(site, options);
  await running.client.login(running.link);
  return running;
}
