import { KEYS, METHODS, SECTIONS } from './schema.ts';
import { BUILT_IN_ENVIRONMENTS, ENVIRONMENT_KEYS } from './schema/access.ts';
import type { KeySpec, SectionSpec } from './schema/keySpec.ts';
import { PEOPLES_NAMES, variableName } from './variables.ts';

/** The example INI and the reference, both made from the table of keys. Pure: the same table gives the same text. */

const WIDTH = 100;

/**
 * A commented INI with every key: active with its default (or an example where it is required), commented out where
 * it is optional. It loads once client_id and the key file are filled in.
 * @param values texts by `section.key` to write instead, for a new site's own file
 */
export function exampleIni(values: Readonly<Record<string, string>> = {}): string {
  const lines = comment(
    'Configuration of fhir-rounds. Copy this file to fhir-rounds.ini, then fill in what is marked REQUIRED. Lines ' +
      'with # explain; remove the ; in front of a key to set it. A comment has a line of its own. Write a value that ' +
      'holds ; or # in single quotes.',
  );
  for (const [section, spec] of Object.entries<SectionSpec>(SECTIONS)) {
    const given = Object.keys(values).some((name) => name.startsWith(`${section}.`));
    const off = spec.optional === true && !given;
    lines.push('', ...comment(spec.text), `${off ? ';' : ''}[${section}]`);
    for (const [key, keySpec] of Object.entries(spec.keys)) {
      lines.push(...comment(explain(keySpec)), keyLine(key, keySpec, values[`${section}.${key}`], off));
    }
    if (section === 'epic_settings') lines.push('', ...environmentExample());
  }
  return [...lines, '', ...jobExample(), ''].join('\n');
}

function keyLine(key: string, spec: KeySpec, value: string | undefined, off: boolean): string {
  if (value !== undefined) return `${key} = ${value}`;
  if (key === 'client_id') return `${key} =`;
  const text = spec.default === undefined ? (spec.example ?? '') : (spec.example ?? spec.default);
  const active =
    !off && (spec.required === true || (spec.default !== undefined && spec.defaultText === undefined));
  return `${active ? '' : ';'}${key} = ${active && spec.default !== undefined ? spec.default : text}`.trimEnd();
}

function explain(spec: KeySpec): string {
  const facts = [spec.required === true ? 'REQUIRED.' : '', spec.text, allowed(spec), defaultOf(spec)];
  return facts.filter((fact) => fact !== '').join(' ');
}

function allowed({ kind, values, min, max, unit }: KeySpec): string {
  if (kind === 'enum') return `One of ${values?.join(', ') ?? ''}.`;
  if (kind === 'boolean') return 'true or false.';
  if (kind !== 'integer' && kind !== 'number') return '';
  return `${min} to ${max}${unit === undefined ? '' : ` ${unit}`}.`;
}

function defaultOf(spec: KeySpec): string {
  const text = spec.defaultText ?? spec.default;
  return text === undefined ? '' : `Default: ${text}${text.endsWith('.') ? '' : '.'}`;
}

function environmentExample(): string[] {
  const examples: Readonly<Record<keyof typeof ENVIRONMENT_KEYS, string>> = {
    endpoint: 'https://fhir.hospital.example/interconnect-prd/api/FHIR/R4',
    token_endpoint: 'https://fhir.hospital.example/interconnect-prd/oauth2/token',
    client_id: '11111111-1111-1111-1111-111111111111',
    private_key: 'config/production-key.pem',
    key_id: 'fhir-rounds-production',
  };
  return [
    ...comment(
      'A server with its own client and key; chosen by `environment = production` above or in a job.',
    ),
    ';[environment production]',
    ...Object.entries(examples).map(([key, text]) => `;${key} = ${text}`),
  ];
}

function jobExample(): string[] {
  return [
    ...comment(
      'With no [job NAME] section there is one job, named default. A job takes all settings above and changes those ' +
        'it names, each as section.key. NAME: 1 to 40 small letters, digits and -.',
    ),
    ';[job nightly-labs]',
    `;method = ${METHODS[0]}`,
    ';data_sources.epic_sandbox_resources = data/labs.csv',
    ';schedule.cron = 30 1 * * *',
  ];
}

function comment(text: string): string[] {
  const lines: string[] = [];
  let line = '#';
  for (const word of text.split(' ')) {
    if (line.length + 1 + word.length > WIDTH) {
      lines.push(line);
      line = '#';
    }
    line += ` ${word}`;
  }
  return [...lines, line];
}

/** The reference of every section and key as Markdown, for the marked part of config/README.md. */
export function configReference(): string {
  const parts: string[] = [];
  for (const [section, { text, optional, keys }] of Object.entries<SectionSpec>(SECTIONS)) {
    parts.push(`### [${section}]`, `${text}${optional === true ? ' Optional.' : ''}`);
    parts.push(table(['Key', 'Value', 'Default', 'What it does'], Object.entries(keys).map(keyRow)));
    if (section === 'epic_settings') parts.push('### [environment NAME]', ...environmentReference());
  }
  parts.push(
    '### [job NAME]',
    ...jobReference(),
    '### Names in `.env` and the environment',
    ...variableReference(),
  );
  return parts.join('\n\n');
}

function keyRow([key, spec]: [string, KeySpec]): string[] {
  const notes = [spec.text];
  if (spec.secret === true) notes.push(`Secret; \`${key}_file\` names a file that holds it.`);
  if (spec.wide === true) notes.push('For all jobs.');
  const required = spec.required === true ? 'required' : 'unset';
  const standard = spec.defaultText ?? (spec.default === undefined ? required : `\`${spec.default}\``);
  return [`\`${key}\``, kindText(spec), standard, notes.join(' ')];
}

function kindText(spec: KeySpec): string {
  const { kind, values, min, max, unit } = spec;
  if (kind === 'enum') return values?.map((word) => `\`${word}\``).join(', ') ?? '';
  if (kind === 'integer' || kind === 'number')
    return `${min} to ${max}${unit === undefined ? '' : ` ${unit}`}`;
  const names: Readonly<Record<string, string>> = {
    string: 'text',
    boolean: '`true`, `false`',
    list: 'words, with commas',
    address: 'mail address',
    addresses: 'mail addresses, with commas',
    cron: 'cron expression',
    timezone: 'IANA time zone',
    hours: '`HH:MM-HH:MM`, with commas',
    url: 'URL',
    proxy: 'URL',
    template: 'file name',
  };
  return names[kind] ?? kind;
}

function environmentReference(): string[] {
  const rows = Object.entries(ENVIRONMENT_KEYS).map(([key, setting]) => [`\`${key}\``, `\`${setting}\``]);
  const builtIn = Object.entries(BUILT_IN_ENVIRONMENTS).map(
    ([name, keys]) => `\`${name}\`: ${keys['endpoint']}`,
  );
  return [
    'Chosen by `[epic_settings] environment`. Its values stand for the settings beside them.',
    table(['Key', 'Instead of'], rows),
    `Built in: ${builtIn.join('; ')}.`,
  ];
}

function jobReference(): string[] {
  return [
    'Any key above as `section.key`, except those marked "For all jobs", and:',
    table(
      ['Key', 'Value', 'Default', 'What it does'],
      [
        [
          '`method`',
          METHODS.map((word) => `\`${word}\``).join(', '),
          `\`${METHODS[0]}\``,
          'Searches, or Bulk Data export.',
        ],
      ],
    ),
  ];
}

function variableReference(): string[] {
  const example = [...KEYS.keys()].find((name) => name === 'api_settings.page_size') ?? '';
  const rows = Object.entries(PEOPLES_NAMES).map(([name, setting]) => [`\`${name}\``, `\`${setting}\``]);
  return [
    `\`FHIR_ROUNDS_SECTION_KEY\` overrides any key: \`${variableName(example)}\` is \`${example}\`.`,
    'These fill what the INI leaves unset:',
    table(['Name', 'Setting'], rows),
  ];
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = (row: readonly string[]): string =>
    `| ${row.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [cells(head), cells(head.map(() => '---')), ...rows.map(cells)].join('\n');
}
