// The import rule: which part of src may import which, and which file may import which package.
// Imports of types alone do not count: they vanish when the program runs.

/** What `views/` and `console/` both read. */
const LOOKED_AT = [
  ...['system/', 'errors.ts', 'config/', 'config/schema*', 'schedule/', 'fhir/', 'fhir/json*', 'ndjson/'],
  ...['fhir/resourceTypes.ts', 'publish/', 'report/', 'FACTS'],
];

/**
 * The parts, from the ground up, and what each may import beside itself. A part is named by its path below src;
 * `*` stands for the rest of a file's name. The first part that fits a file is the file's.
 */
const LAYERS = [
  { part: 'errorCodes.ts', imports: [] },
  { part: 'errors.ts', imports: ['errorCodes.ts'] },
  { part: 'system/', imports: ['errors.ts'] },

  // Names and shapes that others speak in.
  { part: 'config/schema*', imports: ['errors.ts'] },
  { part: 'run/events.ts', imports: ['errors.ts'] },
  { part: 'fhir/resourceTypes.ts', imports: [] },

  // What knows one thing each, and nothing of one another beyond what is written here.
  { part: 'config/', imports: ['system/', 'errors.ts', 'config/schema*'] },
  { part: 'inputs/', imports: ['system/', 'errors.ts', 'config/', 'fhir/resourceTypes.ts'] },
  { part: 'schedule/', imports: ['system/', 'errors.ts'] },
  { part: 'auth/', imports: ['system/', 'errors.ts'] },
  { part: 'fhir/json*', imports: ['errors.ts'] },
  {
    part: 'fhir/',
    imports: ['system/', 'errors.ts', 'run/events.ts', 'fhir/resourceTypes.ts', 'fhir/json*'],
  },
  { part: 'ndjson/', imports: ['system/', 'errors.ts', 'fhir/json*', 'fhir/resourceTypes.ts'] },

  // A run's durable facts: the ledger, the sum of its commits, the plan and the snapshot they count for.
  { part: 'run/audit.ts', imports: ['system/', 'errors.ts', 'run/auditFile.ts'] },
  { part: 'run/auditFile.ts', imports: ['system/'] },
  { part: 'run/ledger*', imports: ['system/', 'errors.ts', 'run/audit.ts', 'run/tally.ts'] },
  { part: 'run/tally.ts', imports: ['errors.ts'] },
  { part: 'run/exportTally.ts', imports: ['errors.ts'] },
  { part: 'run/exportPlan.ts', imports: ['errors.ts', 'fhir/', 'run/plan.ts'] },
  { part: 'run/plan.ts', imports: ['errors.ts', 'fhir/'] },
  { part: 'run/snapshot.ts', imports: ['system/', 'errors.ts', 'ndjson/', 'run/plan.ts'] },

  // The stages.
  {
    part: 'pull/',
    imports: ['system/', 'errors.ts', 'fhir/', 'fhir/json*', 'ndjson/', 'FACTS'],
  },
  { part: 'publish/', imports: ['system/', 'errors.ts', 'ndjson/', 'FACTS'] },
  { part: 'report/', imports: ['system/', 'errors.ts', 'ndjson/', 'FACTS'] },

  // The story of a run, and who puts its parts together.
  {
    part: 'run/',
    imports: [
      ...['system/', 'errors.ts', 'config/', 'config/schema*', 'inputs/', 'auth/', 'fhir/', 'ndjson/'],
      ...['pull/', 'publish/', 'report/', 'FACTS'],
    ],
  },
  // What people are shown: by commands in a terminal, and by the console.
  { part: 'views/', imports: [...LOOKED_AT, 'auth/', 'run/'] },
  { part: 'console/', imports: [...LOOKED_AT, 'auth/', 'inputs/', 'run/', 'views/'] },
  {
    part: 'compose.ts',
    imports: [
      ...['system/', 'errors.ts', 'config/', 'config/schema*', 'schedule/', 'auth/', 'fhir/', 'ndjson/'],
      ...['pull/', 'publish/', 'report/', 'console/', 'run/', 'views/', 'FACTS'],
    ],
  },

  // The entry points; the sandbox stands apart from all but errors and system.
  { part: 'sandbox/', imports: ['system/', 'errors.ts'] },
  { part: 'commands/demo.ts', imports: ['COMMANDS', 'sandbox/'] },
  { part: 'commands/sandbox.ts', imports: ['COMMANDS', 'sandbox/'] },
  { part: 'commands/', imports: ['COMMANDS'] },
  { part: 'daemon.ts', imports: ['COMMANDS'] },
  {
    part: 'cli/',
    imports: ['errors.ts', 'system/', 'commands/', 'commands/demo.ts', 'commands/sandbox.ts', 'daemon.ts'],
  },
  { part: 'cli.ts', imports: ['errors.ts', 'commands/', 'cli/'] },
  {
    part: 'library/',
    imports: [
      ...['system/', 'errors.ts', 'config/', 'auth/', 'fhir/', 'fhir/json*', 'ndjson/', 'pull/', 'publish/'],
      ...['run/', 'compose.ts', 'commands/'],
    ],
  },
  { part: 'index.ts', imports: ['errors.ts', 'config/', 'schedule/', 'sandbox/', 'commands/', 'library/'] },
];

/** Short names for what several parts import. */
const GROUPS = {
  FACTS: [
    'run/events.ts',
    'run/audit.ts',
    'run/auditFile.ts',
    'run/ledger*',
    'run/tally.ts',
    'run/exportTally.ts',
    'run/exportPlan.ts',
    'run/plan.ts',
    'run/snapshot.ts',
  ],
  COMMANDS: [
    ...[
      'system/',
      'errors.ts',
      'config/',
      'config/schema*',
      'inputs/',
      'schedule/',
      'auth/',
      'fhir/',
      'fhir/json*',
      'ndjson/',
    ],
    ...['pull/', 'publish/', 'report/', 'console/', 'run/', 'views/', 'FACTS', 'compose.ts', 'commands/'],
  ],
};

/** The only files that may import a package; every other import of a package is an error. */
const PACKAGES = {
  '@photostructure/sqlite': ['system/sqlite.ts'],
  axios: ['system/http.ts'],
  commander: ['cli.ts'],
  'csv-parse': ['inputs/csv.ts'],
  ini: ['config/load.ts'],
  jose: ['auth/clientAssertion.ts', 'auth/jwks.ts'],
  'node-cron': ['schedule/cronSchedule.ts'],
  nodemailer: ['report/mail.ts'],
  selfsigned: ['auth/certificate.ts', 'sandbox/'],
  'smtp-server': ['sandbox/'],
  undici: ['system/dispatcher.ts'],
  winston: ['system/logger.ts'],
};

const notTypes = { dependencyTypesNot: ['type-only'] };
const escape = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');

/** `run/ledger*`, `auth/` or `cli.ts` as a pattern of paths. */
function pattern(part) {
  const text = escape(part).replace('\\*', '');
  return part.endsWith('*') || part.endsWith('/') ? `^src/${text}` : `^src/${text}$`;
}

function spread(names) {
  return names.flatMap((name) => (name in GROUPS ? spread(GROUPS[name]) : [name]));
}

/** Parts whose files lie within `part`'s pattern and are not its own: `run/ledger*` within `run/`. */
function within(part) {
  return LAYERS.map((layer) => layer.part).filter(
    (other) => other !== part && other.length > part.length && other.startsWith(part.replace('*', '')),
  );
}

const layerRules = LAYERS.map(({ part, imports }) => {
  const allowed = [part, ...spread(imports)];
  const others = LAYERS.map((layer) => layer.part).filter((other) => !allowed.includes(other));
  return others.map((other) => ({
    name: `${part} imports no ${other}`,
    severity: 'error',
    from: { path: pattern(part), pathNot: within(part).map(pattern) },
    to: { path: pattern(other), pathNot: within(other).map(pattern), ...notTypes },
  }));
}).flat();

const packageRules = Object.entries(PACKAGES).map(([name, files]) => ({
  name: `${name} only in ${files.join(', ')}`,
  severity: 'error',
  from: { path: '^src/', pathNot: files.map(pattern) },
  to: { path: `(^|/)node_modules/(@types/)?${escape(name)}(/|$)`, ...notTypes },
}));

module.exports = {
  forbidden: [
    ...layerRules,
    ...packageRules,
    {
      name: 'every part is in the list of layers',
      comment: 'Add the new folder to LAYERS above, with what it may import.',
      severity: 'error',
      from: { path: '^src/', pathNot: ['^src/bootstrap\\.mjs$', ...LAYERS.map(({ part }) => pattern(part))] },
      to: {},
    },
    {
      name: 'every package is in the list of packages',
      comment: 'Add the new package to PACKAGES above, with the one file that may import it.',
      severity: 'error',
      from: { path: '^src/' },
      to: {
        path: '(^|/)node_modules/',
        pathNot: Object.keys(PACKAGES).map((name) => `(^|/)node_modules/(@types/)?${escape(name)}(/|$)`),
        ...notTypes,
      },
    },
    {
      name: 'no package that is there for development only',
      severity: 'error',
      from: { path: '^src/' },
      to: {
        dependencyTypes: ['npm-dev'],
        dependencyTypesNot: ['type-only'],
        pathNot: 'node_modules/@types/',
      },
    },
    {
      name: 'src imports no test',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^test/' },
    },
    { name: 'no cycles', severity: 'error', from: {}, to: { circular: true, viaOnly: notTypes } },
    {
      name: 'no orphans',
      severity: 'error',
      from: {
        orphan: true,
        path: '^src/',
        pathNot: ['\\.json$', '^src/bootstrap\\.mjs$', '^src/console/assets/'],
      },
      to: {},
    },
    { name: 'no import that leads nowhere', severity: 'error', from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    // `specify` marks imports of types alone, so that the rules can leave them out.
    tsPreCompilationDeps: 'specify',
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'types'],
    },
  },
};
