import type { Server } from 'node:http';
import { RoundsError } from '../errors.ts';
import { asFileError, errno } from '../system/files.ts';

/** Throws CONFIG_INVALID where host and port cannot be had, with what to set instead; PATH_UNUSABLE. */
export async function listen(server: Server, host: string, port: number): Promise<void> {
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, host, () => {
        server.off('error', reject);
        resolve();
      });
    });
  } catch (error) {
    const hints: Readonly<Record<string, string>> = {
      EADDRINUSE: 'Another program has this port, perhaps a console that runs already; set [console] port.',
      EADDRNOTAVAIL: 'This machine has no such address; set [console] host.',
      EACCES: 'Ports below 1024 are for root; set [console] port.',
    };
    const hint = hints[errno(error) ?? ''];
    if (hint === undefined) throw asFileError(error, `${host}:${port}`);
    throw new RoundsError('CONFIG_INVALID', `the console cannot listen on ${host}:${port}`, {
      hint,
      cause: error,
    });
  }
}
