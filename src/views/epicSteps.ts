/** One thing to do at Epic; `ways`: one of these. */
export interface EpicStep {
  readonly text: string;
  readonly ways: readonly string[];
}

/** What is to be done at Epic to register a client, in order. What stands between backticks is a command or a file. */
export function epicSteps(site: {
  readonly iniFile: string;
  /** As it is shown to people. */
  readonly certificateFile: string;
  /** SHA-1, where there is a certificate. */
  readonly thumbprint: string | undefined;
  /** Whether [paths] certificate names it. */
  readonly isConfigured: boolean;
}): readonly EpicStep[] {
  const { iniFile, certificateFile, thumbprint, isConfigured } = site;
  const shows = thumbprint === undefined ? '' : `; Epic then shows its thumbprint ${thumbprint}`;
  const makesKid = isConfigured ? '' : `, and [paths] certificate = ${certificateFile} makes it the key id`;
  return [
    {
      text: 'At Epic (fhir.epic.com, Build Apps), make an app for Backend Systems, SMART on FHIR version R4, and tick the APIs below.',
      ways: [],
    },
    {
      text: 'Register the key there, one way or the other:',
      ways: [
        `by URL: \`fhir-rounds keys jwks --out jwks.json --config ${iniFile}\`, serve that file at an https address that Epic can reach, and register the address (for production and non-production);`,
        `by upload, where the site still takes it: ${certificateFile}${shows}${makesKid}.`,
      ],
    },
    {
      text: 'Ask the customer to map the client ID to an Epic user. A new client takes an hour to two days to be active.',
      ways: [],
    },
  ];
}
