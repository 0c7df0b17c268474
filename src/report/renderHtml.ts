import { asciiLine, count } from './format.ts';
import { DARK_AND_NARROW, LIGHT } from './htmlStyle.ts';
import type { CauseGroup } from './causeGroups.ts';
import { TYPE_COLUMNS, type ReportView, type StripCell, type TypeRow } from './reportView.ts';

/**
 * The report as one HTML page for mail clients: tables and inline CSS, since that is what all of them show
 * alike, and one style block for dark mode and narrow screens. No images, scripts, links or outside URLs.
 * Every text of the view passes `escape`.
 */
export function renderHtml(view: ReportView, whole: string): string {
  const title = escape(asciiLine(view.subject));
  const sections = [
    verdict(view),
    marks(view, whole),
    strip(view.strip),
    facts(view.facts),
    view.rows.length === 0 ? '' : typeTable(view),
    causes(view, 'failed', 'Failures'),
    causes(view, 'gap', 'Gaps'),
    view.cut.causes === 0 ? '' : cut(view.cut.causes, 'cause', whole),
    notes(view, whole),
    `<p class="m" style="${LIGHT.footer}">${escape(view.footer)}</p>`,
  ];
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title}</title>
<style>${DARK_AND_NARROW}</style>
</head>
<body class="b" style="${LIGHT.body}">
<table role="presentation" width="100%" cellpadding="0" cellspacing="0"><tr><td align="center">
<table role="presentation" class="s" cellpadding="0" cellspacing="0" style="${LIGHT.sheet}">
<tr><td class="p" style="${LIGHT.band}background:${LIGHT.tone[view.tone]}">
<p style="${LIGHT.word}">${escape(view.word)}</p>
<h1 style="${LIGHT.headline}">${escape(view.headline)}</h1>
</td></tr>
<tr><td class="p" style="${LIGHT.inside}">
${sections.filter((section) => section !== '').join('\n')}
</td></tr>
</table>
</td></tr></table>
</body>
</html>
`;
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Text as HTML. A URL loses its scheme, so that no client makes it a link to somewhere outside. */
function escape(text: string): string {
  return text.replace(/\b(?:https?|ftp|file):\/\//gi, '').replace(/[&<>"']/g, (char) => ENTITIES[char]!);
}

function verdict(view: ReportView): string {
  const [first = '', ...rest] = view.verdict;
  const command =
    view.command === undefined
      ? ''
      : `\n<p style="${LIGHT.paragraph}">${escape(view.command.purpose)} <code class="k" style="${LIGHT.code}">${escape(view.command.line)}</code></p>`;
  return (
    `<p style="${LIGHT.lead}">${escape(first)}</p>` +
    rest.map((line) => `\n<p style="${LIGHT.paragraph}">${escape(line)}</p>`).join('') +
    command
  );
}

function marks(view: ReportView, whole: string): string {
  if (view.marks.length === 0) return '';
  const items = view.marks.map((mark) => `<li style="${LIGHT.mark}">${escape(mark)}</li>`).join('\n');
  const more = view.cut.marks === 0 ? '' : '\n' + cut(view.cut.marks, 'mark', whole);
  return `<table role="presentation" class="a" width="100%" cellpadding="0" cellspacing="0" style="${LIGHT.marks}"><tr><td style="${LIGHT.marksInside}">
<h2 class="g" style="${LIGHT.marksHeading}">Look at this</h2>
<ul style="${LIGHT.markList}">
${items}
</ul>${more}
</td></tr></table>`;
}

const STRIP_HEIGHT = 36;
const STRIP_LEAST = 4;

/** A bar a run, as high as its records; what was not complete has its letter below. */
function strip(cells: readonly StripCell[]): string {
  if (cells.length === 0) return '';
  const [first, last] = [cells[0]!, cells.at(-1)!];
  const bars = cells.map(({ status, label, height }, i) => {
    const isThis = i === cells.length - 1;
    const px = Math.max(STRIP_LEAST, Math.round(STRIP_HEIGHT * height));
    return `<td valign="bottom" title="${escape(label)}" style="${LIGHT.bar}"><div class="i${isThis && status === 'complete' ? 't' : status[0]}" style="height:${px}px;${LIGHT.barFill}background:${isThis ? LIGHT.tone[status === 'complete' ? 'ok' : status] : LIGHT.barTone[status]}"></div></td>`;
  });
  const letters = cells.map(
    ({ status }) =>
      `<td class="${status === 'complete' ? 'm' : status === 'partial' ? 'g' : 'x'}" style="${LIGHT.barLetter}color:${LIGHT.barText[status]}">${status === 'complete' ? '&#183;' : status[0]!.toUpperCase()}</td>`,
  );
  const isQuiet = cells.every(({ status }) => status === 'complete');
  const summary = `The last ${cells.length} runs by records, from ${first.label}, to this one, ${last.label}.`;
  return `<table class="l" role="img" aria-label="${escape(summary)}" cellpadding="0" cellspacing="0" style="${LIGHT.strip}">
<tr>${bars.join('')}</tr>${isQuiet ? '' : `\n<tr>${letters.join('')}</tr>`}
</table>
<p class="m" style="${LIGHT.small}">${escape(legend(cells))}</p>`;
}

function legend(cells: readonly StripCell[]): string {
  const others = (['partial', 'failed', 'abandoned'] as const).filter((status) =>
    cells.some((cell) => cell.status === status),
  );
  const letters = others.map((status) => `${status[0]!.toUpperCase()} ${status}`);
  return [`The last ${cells.length} runs by records, this one at the right`, ...letters].join(' - ') + '.';
}

function facts(pairs: ReportView['facts']): string {
  const rows = pairs.map(
    ([label, value]) =>
      `<tr><th scope="row" class="m" align="left" valign="top" style="${LIGHT.factLabel}">${escape(label)}</th>` +
      `<td style="${LIGHT.factValue}">${escape(value)}</td></tr>`,
  );
  return `<table class="f" cellpadding="4" cellspacing="0" style="${LIGHT.facts}">\n${rows.join('\n')}\n</table>`;
}

/** Columns that a narrow screen leaves out: `w` under 560 px, `v` under 420 px. */
const COLUMN_CLASS: Readonly<Record<(typeof TYPE_COLUMNS)[number], string>> = {
  records: '',
  files: 'w',
  bytes: 'w',
  ok: 'v',
  empty: 'v',
  gap: '',
  failed: '',
  change: 'v',
  usual: '',
};

function typeTable(view: ReportView): string {
  const cells = (row: TypeRow) =>
    row.cells
      .map((cell, i) => {
        const column = TYPE_COLUMNS[i]!;
        const isUnlike = row.isMarked && column === (row.cells.at(-1) === '-' ? 'change' : 'usual');
        const marked =
          (((column === 'gap' && row.hasGap) || isUnlike) && 'g') ||
          (column === 'failed' && row.hasFailed && 'x') ||
          '';
        const name = [COLUMN_CLASS[column], marked].filter((c) => c !== '').join(' ');
        const style = marked === '' ? '' : ` style="${marked === 'g' ? LIGHT.gap : LIGHT.failed}"`;
        return `<td${name === '' ? '' : ` class="${name}"`}${style}>${escape(cell)}</td>`;
      })
      .join('');
  const tr = (row: TypeRow, name: string, style: string) =>
    `<tr class="${name}" style="${style}"><th scope="row" align="left">${escape(row.resourceType)}</th>${cells(row)}</tr>`;
  const heads = TYPE_COLUMNS.map((column) => {
    const name = COLUMN_CLASS[column];
    return `<th scope="col"${name === '' ? '' : ` class="${name}"`}>${column}</th>`;
  });
  const more =
    view.cut.types === 0
      ? ''
      : `\n<tr class="r m" style="${LIGHT.row}"><td colspan="10" align="left">and ${count(view.cut.types)} more types, counted in the total</td></tr>`;
  return `<h2 style="${LIGHT.heading}">Resources</h2>
<table class="t" cellpadding="5" cellspacing="0" style="${LIGHT.table}">
<thead><tr class="h m" style="${LIGHT.head}"><th scope="col" align="left">type</th>${heads.join('')}</tr></thead>
<tbody>
${view.rows.map((row) => tr(row, 'r', LIGHT.row)).join('\n')}${more}
</tbody>
<tfoot>${tr(view.total, 'r z', LIGHT.total)}</tfoot>
</table>
<p class="m" style="${LIGHT.small}">${escape(view.baseline)}</p>
<p class="n m" style="${LIGHT.narrowNote}">This screen is narrow: some columns are in the text version of this report.</p>`;
}

function causes(view: ReportView, outcome: CauseGroup['outcome'], heading: string): string {
  const groups = view.groups.filter((group) => group.outcome === outcome);
  if (groups.length === 0) return '';
  return `<h2 style="${LIGHT.heading}">${heading}</h2>
<table class="c" cellpadding="4" cellspacing="0" style="${LIGHT.causes}">
<colgroup><col width="40"><col width="38%"><col></colgroup>
${groups.map(causeGroup).join('\n')}
</table>`;
}

function causeGroup(group: CauseGroup): string {
  const failed = group.outcome === 'failed';
  const mark = failed ? ` class="x" style="${LIGHT.failed}"` : ` class="g" style="${LIGHT.gap}"`;
  const rows = group.rows.map(
    (row) =>
      `<tr valign="top"><td align="right">${escape(row.searches)}</td>` +
      `<th scope="row" align="left">${escape(row.resourceType)}</th><td>${escape(row.lines)}</td></tr>`,
  );
  return `<tbody><tr class="r" style="${LIGHT.row}"><th scope="rowgroup" colspan="3" align="left"><span${mark}>${count(group.searches)} ${failed ? 'failed' : group.searches === 1 ? 'gap' : 'gaps'}</span> &nbsp;<b>${escape(group.title)}</b><br><span class="m" style="${LIGHT.hint}">${escape(group.hint)}</span></th></tr>
${rows.join('\n')}</tbody>`;
}

function notes(view: ReportView, whole: string): string {
  if (view.notes.length === 0) return '';
  const items = view.notes.map((note) => `<li>${escape(note)}</li>`).join('\n');
  const more = view.cut.notes === 0 ? '' : '\n' + cut(view.cut.notes, 'note', whole);
  return `<h2 style="${LIGHT.heading}">Notes</h2>\n<ul style="${LIGHT.list}">\n${items}\n</ul>${more}`;
}

function cut(n: number, one: string, whole: string): string {
  return `<p class="m" style="${LIGHT.paragraph}">and ${count(n)} more ${one}${n === 1 ? '' : 's'}, see ${escape(whole)}</p>`;
}
