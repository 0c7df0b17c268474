import { stat, statfs } from 'node:fs/promises';
import path from 'node:path';
import { errno, isWindows } from './files.ts';

/** Who else than the user that runs this can reach a folder. */
export interface Exposure {
  /**
   * `refuse`: the owner or the mode says so, and both can be mended. `warn`: the file system has no owners or modes of
   * its own (vfat, SMB), or maps them (NFS), so that they say little and nobody could change them.
   */
  readonly verdict: 'refuse' | 'warn';
  /** What is wrong. */
  readonly what: string;
  /** The command that mends it. */
  readonly fix: string;
}

/** What decides; see `judge`. */
export interface FolderFacts {
  readonly mode: number;
  readonly ownerUid: number;
  readonly ourUid: number;
  readonly modesAreReal: boolean;
}

/**
 * Whether a folder that exists is owned by another user, or is wider than `allowed` (0700, or 0750 for exports that
 * the group may read). Undefined when all is well, when there is no such folder yet, and on Windows, where ACLs decide.
 */
export async function exposureOf(folder: string, allowed: number): Promise<Exposure | undefined> {
  if (isWindows) return undefined;
  try {
    const found = await stat(folder);
    // What is no folder cannot be used at all, which provePathWritable says.
    if (!found.isDirectory()) return undefined;
    const { mode, uid } = found;
    const ourUid = process.geteuid?.() ?? uid;
    const facts = { mode, ownerUid: uid, ourUid, modesAreReal: await hasRealModes(folder) };
    return judge(path.resolve(folder), allowed, facts);
  } catch (error) {
    if (errno(error) === 'ENOENT') return undefined;
    throw error;
  }
}

export function judge(folder: string, allowed: number, facts: FolderFacts): Exposure | undefined {
  const verdict = facts.modesAreReal ? 'refuse' : 'warn';
  if (facts.ownerUid !== facts.ourUid) {
    return {
      verdict,
      what: `${folder} belongs to user ${facts.ownerUid}, and user ${facts.ourUid} runs this`,
      fix: `chown -R ${facts.ourUid} ${folder}, or run this as user ${facts.ownerUid}; of a mounted volume, name a folder inside it`,
    };
  }
  if ((facts.mode & 0o077 & ~allowed) === 0) return undefined;
  return {
    verdict,
    what: `${folder} has mode ${octal(facts.mode)}, and ${octal(allowed)} is the widest allowed`,
    fix: `chmod ${octal(allowed)} ${folder}`,
  };
}

const octal = (mode: number): string => (mode & 0o777).toString(8).padStart(4, '0');

/** statfs(2) magic numbers of file systems whose owners and modes come from the mount or from another machine. */
const MAPPED_MODES: ReadonlySet<number> = new Set([
  0x4d44, // vfat
  0x2011bab0, // exfat
  0x5346544e, // ntfs
  0x7366746e, // ntfs3
  0xff534d42, // cifs
  0xfe534d42, // smb2
  0x517b, // smb
  0x6969, // nfs: root is squashed to nobody
  0x65735546, // fuse
  0x01021997, // 9p
  0x5346414f, // afs
  0x6b414653, // afs
]);

async function hasRealModes(folder: string): Promise<boolean> {
  const { type } = await statfs(folder);
  return !MAPPED_MODES.has(Number(BigInt.asUintN(32, BigInt(type))));
}
