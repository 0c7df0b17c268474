import type { TokenService } from '../auth/accessToken.ts';
import type { JobConfig } from '../config/schema.ts';
import type { Server } from '../run/deps.ts';
import type { Access } from '../run/preflight.ts';
import { Connections } from './gateway/connections.ts';
import { auditInto, type Audit } from './gateway/guard.ts';
import { openPatientHash, type PatientHash } from './patientHash.ts';
import type { Site } from './site.ts';

/** What reaches out of this machine; compose.ts constructs it. */
export interface ConsoleAdapters {
  /** Gets a token and reads the CapabilityStatement. */
  readonly connect: (job: JobConfig) => Promise<Server>;
  /** A source of tokens; `access`: the key to sign with, where it was read already. */
  readonly openTokens: (job: JobConfig, access?: Pick<Access, 'key' | 'keyId'>) => Promise<TokenService>;
}

/** What the routes of the API, the gateway and the Registration page share. */
export interface ConsoleParts {
  readonly connections: Connections;
  readonly openTokens: ConsoleAdapters['openTokens'];
  readonly hash: PatientHash;
  readonly audit: Audit;
  /** Closes the connections to FHIR servers. */
  close(): Promise<void>;
}

/** Connects to nothing yet. Throws what `openPatientHash` does. */
export async function openConsoleParts(site: Site, adapters: ConsoleAdapters): Promise<ConsoleParts> {
  const hash = await openPatientHash(site.folder);
  const connections = new Connections({ connect: adapters.connect, clock: site.clock });
  return {
    connections,
    openTokens: adapters.openTokens,
    hash,
    audit: auditInto(site, hash),
    close: () => connections.close(),
  };
}
