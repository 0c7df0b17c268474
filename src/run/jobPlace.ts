import type { JobConfig } from '../config/schema.ts';
import { jobFolders, type JobFolders } from '../publish/layout.ts';
import { GROUP_MODES, PRIVATE_MODES, type FileModes } from '../system/files.ts';
import type { RunContext } from './ledgerRows.ts';

/** Where a job's runs happen: its folders, its server, and what a resumed run must find unchanged. */
export interface JobPlace {
  readonly folders: JobFolders;
  readonly modes: FileModes;
  readonly stateFolder: string;
  /** Without a slash at its end. */
  readonly fhirBase: string;
  readonly context: RunContext;
}

export function placeOf({ jobName, settings }: JobConfig): JobPlace {
  const { paths, epic_settings: epic, oauth_settings: oauth } = settings;
  const fhirBase = epic.epic_endpoint.replace(/\/+$/, '');
  return {
    folders: jobFolders(paths.epic_data_export_folder, jobName),
    modes: paths.export_mode === 'group' ? GROUP_MODES : PRIVATE_MODES,
    stateFolder: paths.state_folder,
    fhirBase,
    context: { server: fhirBase, clientId: oauth.client_id, exportFolder: paths.epic_data_export_folder },
  };
}
