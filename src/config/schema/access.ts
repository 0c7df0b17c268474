import type { SectionSpec } from './keySpec.ts';

/** Sections on folders, keys and the way to the server. */
export const ACCESS_SECTIONS = {
  paths: {
    text: 'Where things lie. A relative path is against app_folder_name.',
    keys: {
      app_folder_name: {
        kind: 'folder',
        text: 'The folder that every other relative path starts from. Itself relative to the folder of this file.',
        default: '.',
        defaultText: "this file's folder, or the one above when that is named `config`",
        wide: true,
        example: '..',
      },
      epic_data_export_folder: {
        kind: 'folder',
        text: 'Published runs go into JOB/RUN under this folder.',
        default: 'exports',
      },
      private_key: {
        kind: 'file',
        text: 'Private key that signs the client assertion: PEM (PKCS#1, PKCS#8) or JWK, readable by its owner alone.',
        required: true,
        example: 'config/private-key.pem',
      },
      public_key: {
        kind: 'file',
        text: 'Public key of the same pair, as it is registered; compared with the private key by `check`.',
        example: 'config/public-key.pem',
      },
      certificate: {
        kind: 'file',
        text: 'X.509 certificate of the same pair; its thumbprint is the key id when key_id is unset.',
        example: 'config/certificate.pem',
      },
      log_folder: { kind: 'folder', text: "The program's own log files.", default: 'logs', wide: true },
      state_folder: {
        kind: 'folder',
        text: 'Ledger, locks, unpublished runs and unsent mail. On a local disk, and outside the export folder.',
        default: 'data/state',
        wide: true,
      },
      export_mode: {
        kind: 'enum',
        values: ['private', 'group'],
        text: 'Who may read what is published: its owner alone (0700, 0600), or also the group (0750, 0640).',
        default: 'private',
        pull: true,
      },
    },
  },
  oauth_settings: {
    text: 'The client that is registered at Epic.',
    keys: {
      client_id: {
        kind: 'string',
        text: 'Client ID of the registration. Non-production and production have different ones.',
        required: true,
        pull: true,
        example: '00000000-0000-0000-0000-000000000000',
      },
      token_endpoint: {
        kind: 'url',
        text: "The exact token URL, which is also the assertion's audience. Unset: discovered from the FHIR server.",
        example: 'https://fhir.epic.com/interconnect-fhir-oauth/oauth2/token',
      },
      scope: {
        kind: 'string',
        text: 'Scopes to ask for, separated by spaces. Unset: Epic derives them from the registration.',
        pull: true,
        example: 'system/Patient.read system/Observation.read',
      },
    },
  },
  jwt_settings: {
    text: 'The client assertion.',
    keys: {
      jwt_algorithm: {
        kind: 'enum',
        values: ['RS256', 'RS384', 'RS512', 'ES256', 'ES384'],
        text: 'Signature. ES256 and ES384 need a registered JWKS URL.',
        default: 'RS384',
      },
      jwt_expiry_minutes: {
        kind: 'number',
        unit: 'minutes',
        min: 1,
        max: 5,
        text: 'Life of an assertion. Epic refuses more than 5 minutes, counted from its own clock.',
        default: '4',
      },
      key_id: {
        kind: 'string',
        text: 'The `kid` of the key in the JWKS. Unset: worked out from the certificate or key.',
        example: 'fhir-rounds-2026',
      },
    },
  },
  rsa_settings: {
    text: 'For `keys generate`.',
    keys: {
      rsa_key_size: {
        kind: 'integer',
        unit: 'bits',
        min: 2048,
        max: 4096,
        text: 'Size of a new RSA key.',
        default: '2048',
      },
    },
  },
  epic_settings: {
    text: 'The FHIR server.',
    keys: {
      epic_endpoint: {
        kind: 'url',
        text: 'R4 base URL. https; plain http is taken towards loopback only.',
        required: true,
        pull: true,
        example: 'https://fhir.epic.com/interconnect-fhir-oauth/api/FHIR/R4',
      },
      environment: {
        kind: 'string',
        text:
          'Name of an [environment NAME] section, whose endpoint, token endpoint, client and key are used instead ' +
          "of those above. `sandbox` is built in: Epic's public sandbox.",
        example: 'sandbox',
      },
    },
  },
} as const satisfies Record<string, SectionSpec>;

/** Keys of an [environment NAME] section, and the settings that they stand for. */
export const ENVIRONMENT_KEYS = {
  endpoint: 'epic_settings.epic_endpoint',
  token_endpoint: 'oauth_settings.token_endpoint',
  client_id: 'oauth_settings.client_id',
  private_key: 'paths.private_key',
  key_id: 'jwt_settings.key_id',
} as const;

/** Environments that need no section. Source: Epic on FHIR, sandbox endpoints (H). */
export const BUILT_IN_ENVIRONMENTS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  sandbox: {
    endpoint: 'https://fhir.epic.com/interconnect-fhir-oauth/api/FHIR/R4',
    token_endpoint: 'https://fhir.epic.com/interconnect-fhir-oauth/oauth2/token',
  },
};
