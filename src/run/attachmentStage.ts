import { rm } from 'node:fs/promises';
import path from 'node:path';
import { ATTACHMENT_INDEX, ATTACHMENTS, ATTACHMENTS_ARRIVING, partName } from '../publish/layout.ts';
import {
  writeIndex,
  type AttachmentFolders,
  type AttachmentSource,
  type IndexOptions,
  type KeptAttachments,
} from '../pull/attachmentFiles.ts';
import { ensureFolder, type FileModes } from '../system/files.ts';
import type { SnapshotSettings } from './snapshot.ts';
import type { CommittedFile } from './tally.ts';

/** Where a run's attachments stand in its staging; nothing of the pull's other files has these names. */
export const ATTACHMENT_ENTRIES: readonly string[] = [ATTACHMENTS, ATTACHMENTS_ARRIVING];

/** The folders of a run's attachments, made where they are missing. */
export async function openAttachments(staging: string, modes: FileModes): Promise<AttachmentFolders> {
  const arriving = path.join(staging, ATTACHMENTS_ARRIVING);
  const kept = path.join(staging, ATTACHMENTS);
  await ensureFolder(arriving);
  await ensureFolder(kept, modes);
  return { arriving, kept, index: path.join(staging, ATTACHMENT_INDEX), modes };
}

/** The data files of a run, which may name attachments, as they are committed at this moment. */
export function attachmentSources(
  staging: string,
  { filePattern, timestamp }: SnapshotSettings,
  files: Iterable<CommittedFile>,
): readonly AttachmentSource[] {
  return Array.from(files, ({ resourceType, part }) => ({
    resourceType,
    file: path.join(staging, partName(filePattern, timestamp, resourceType, part)),
  }));
}

/** Ends the pull of attachments: index and contents stand as they are to be published, and nothing beside them. */
export async function closeAttachments(options: IndexOptions): Promise<KeptAttachments> {
  const kept = await writeIndex(options);
  await rm(options.folders.arriving, { recursive: true });
  return kept;
}
