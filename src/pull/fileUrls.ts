import type { FileLocation } from '../fhir/exchanges.ts';
import type { ExportedFile } from '../run/exportTally.ts';
import type { ExportContext } from './exportContext.ts';
import { namedFiles } from './exportNames.ts';
import { rereadManifest } from './exportWait.ts';

/** A manifest is not read again sooner, however many of its files have expired at once. */
const REFRESH_MS = 10_000;

/** Where the files of one export lie now: by the ledger, and by a fresh manifest once their URLs have expired. */
export class FileUrls {
  readonly #context: ExportContext;
  readonly #exportNo: number;
  /** By the name that the file is published under. */
  #fresh = new Map<string, string>();
  #refreshing: Promise<boolean> | undefined;
  #refreshedAt = -Infinity;

  constructor(context: ExportContext, exportNo: number) {
    this.#context = context;
    this.#exportNo = exportNo;
  }

  /** Throws URL_REFUSED for what the policy does not allow. */
  locationOf(file: ExportedFile): FileLocation {
    const { urlPolicy, fhirBase, exportTally } = this.#context;
    const { requiresAccessToken } = exportTally.listed.get(this.#exportNo)!;
    const { url, withToken } = urlPolicy.bulkFile(
      this.#fresh.get(file.name) ?? file.url,
      requiresAccessToken,
      fhirBase,
    );
    return { url: url.href, as: withToken ? 'client' : 'anonymous' };
  }

  /** Home, a redirected file has the token again; elsewhere it goes without, as stores of signed URLs want it. */
  redirected(location: string, from: string, as: FileLocation['as']): FileLocation {
    const { urlPolicy } = this.#context;
    const open = urlPolicy.bulkFile(location, false, from);
    if (as === 'anonymous') return { url: open.url.href, as };
    try {
      return { url: urlPolicy.sameOrigin(location, from).href, as };
    } catch {
      return { url: open.url.href, as: 'anonymous' };
    }
  }

  /** Reads the manifest anew, once for all who ask at a time. Whether there are URLs to try. */
  async refresh(): Promise<boolean> {
    this.#refreshing ??= this.#reread().finally(() => (this.#refreshing = undefined));
    return this.#refreshing;
  }

  async #reread(): Promise<boolean> {
    const { clock, ledger, run, exportTally, snapshot, note, partName } = this.#context;
    if (clock.monotonicMs() - this.#refreshedAt < REFRESH_MS) return true;
    const row = ledger.exports.find(run.runNo, this.#exportNo);
    if (row?.statusUrl === undefined) return false;
    const pages = await rereadManifest(this.#context, row.statusUrl);
    if (pages === undefined) return false;
    const listed = exportTally.files.filter(({ exportNo }) => exportNo === this.#exportNo);
    const before = exportTally.files.slice(0, listed[0]?.fileNo);
    const fresh = namedFiles(pages, before, snapshot.settings, partName);
    note('manifest_reread', { files: fresh.length });
    // Another list of files would give one file's name to the bytes of another.
    const isSame =
      fresh.length === listed.length &&
      fresh.every(({ name, kind, count }, at) => {
        const file = listed[at]!;
        return file.name === name && file.kind === kind && file.count === count;
      });
    if (!isSame) return false;
    this.#fresh = new Map(fresh.map(({ name, url }) => [name, url]));
    this.#refreshedAt = clock.monotonicMs();
    return true;
  }
}
