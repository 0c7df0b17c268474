import { count } from './format.ts';
import type { CauseGroup } from './causeGroups.ts';
import { TYPE_COLUMNS, type ReportView, type StripCell, type TypeRow } from './reportView.ts';

/** RFC 5322, 2.1.1, allows 78 characters; two less, so that a reply can quote it with `> `. */
const WIDTH = 76;

/** The report as plain text of 76 columns; only a word longer than that (a path) makes a longer line. */
export function renderText(view: ReportView, whole: string): string {
  const blocks: string[] = [
    underlined(`${view.word} - ${view.headline}`, '='),
    [...view.verdict, ...command(view)].map((line) => wrap(line)).join('\n'),
  ];
  if (view.marks.length > 0) blocks.push(marks(view, whole));
  if (view.strip.length > 0) blocks.push(strip(view.strip));
  blocks.push(facts(view.facts));
  if (view.rows.length > 0) blocks.push(typeTable(view));
  for (const outcome of ['failed', 'gap'] as const) {
    const groups = view.groups.filter((group) => group.outcome === outcome);
    if (groups.length === 0) continue;
    blocks.push(
      underlined(outcome === 'failed' ? 'Failures' : 'Gaps', '-') +
        '\n' +
        groups.map(causeGroup).join('\n\n'),
    );
  }
  if (view.cut.causes > 0) blocks.push(cutLine(view.cut.causes, 'cause', whole));
  if (view.notes.length > 0) {
    const notes = view.notes.map((note) => wrap(note, '- ', '  '));
    if (view.cut.notes > 0) notes.push(cutLine(view.cut.notes, 'note', whole));
    blocks.push(underlined('Notes', '-') + '\n' + notes.join('\n'));
  }
  blocks.push(wrap(view.footer));
  return blocks.join('\n\n') + '\n';
}

function marks(view: ReportView, whole: string): string {
  const lines = view.marks.map((mark) => wrap(mark, '! ', '  '));
  if (view.cut.marks > 0) lines.push(cutLine(view.cut.marks, 'mark', whole));
  return `${underlined('Look at this', '-')}\n${lines.join('\n')}`;
}

const STRIP_LETTERS = { complete: '.', partial: 'P', failed: 'F', abandoned: 'A' } as const;

/** `Last 14 runs  ..P..F........  (. complete, P partial, F failed; this one last)` */
function strip(cells: readonly StripCell[]): string {
  const letters = cells.map(({ status }) => STRIP_LETTERS[status]).join('');
  const kinds = (['complete', 'partial', 'failed', 'abandoned'] as const).filter((status) =>
    cells.some((cell) => cell.status === status),
  );
  const legend = kinds.map((status) => `${STRIP_LETTERS[status]} ${status}`).join(', ');
  return wrap(`Last ${cells.length} runs: ${letters} (${legend}; this one last)`);
}

function command(view: ReportView): string[] {
  return view.command === undefined ? [] : [`${view.command.purpose} ${view.command.line}`];
}

function cutLine(n: number, one: string, whole: string): string {
  return `... and ${count(n)} more ${one}${n === 1 ? '' : 's'}, see ${whole}`;
}

function underlined(title: string, line: string): string {
  const wrapped = wrap(title);
  const width = Math.max(...wrapped.split('\n').map((row) => row.length));
  return `${wrapped}\n${line.repeat(Math.min(width, WIDTH))}`;
}

function facts(pairs: ReportView['facts']): string {
  const width = Math.max(...pairs.map(([label]) => label.length)) + 2;
  return pairs.map(([label, value]) => wrap(value, label.padEnd(width), ' '.repeat(width))).join('\n');
}

/** Left out first where the table would be too wide: the manifest has them. */
const SPARED_COLUMNS = ['files', 'bytes', 'empty', 'ok'] as const;
/** Most names of types are no longer. */
const NAME_WIDTH = 20;

function typeTable(view: ReportView): string {
  const rows = [...view.rows, view.total];
  const all = TYPE_COLUMNS.map((head, at) => {
    const width = Math.max(head.length, ...rows.map((row) => row.cells[at]!.length));
    return { head, at, width };
  });
  const widthOf = (columns: typeof all): number => columns.reduce((sum, { width }) => sum + width + 1, 0);
  const longest = Math.max(...rows.map((row) => row.resourceType.length));
  const spared: string[] = [];
  let columns = all;
  for (const head of SPARED_COLUMNS) {
    if (widthOf(columns) + Math.min(longest, NAME_WIDTH) <= WIDTH) break;
    spared.push(head);
    columns = columns.filter((column) => column.head !== head);
  }
  const numbers = widthOf(columns);
  const nameWidth = Math.max(6, Math.min(longest, WIDTH - numbers));
  const line = (name: string, cells: readonly string[]) => {
    const figures = columns.map(({ at, width }) => ' ' + cells[at]!.padStart(width)).join('');
    // A name too long for its column gets a line of its own, and the numbers stay where they belong.
    return name.length <= nameWidth
      ? name.padEnd(nameWidth) + figures
      : `${name}\n${' '.repeat(nameWidth)}${figures}`;
  };
  const rule = '-'.repeat(nameWidth + numbers);
  const row = ({ resourceType, cells }: TypeRow) => line(resourceType, cells);
  const cut =
    view.cut.types > 0 ? [`... and ${count(view.cut.types)} more types (counted in the total)`] : [];
  const narrow = spared.length > 0 ? ` Left out for want of width: ${spared.join(', ')}.` : '';
  return [
    line('Type', TYPE_COLUMNS),
    rule,
    ...view.rows.map(row),
    ...cut,
    rule,
    row(view.total),
    wrap(view.baseline + narrow),
  ].join('\n');
}

function causeGroup(group: CauseGroup): string {
  const countWidth = Math.max(...group.rows.map((row) => row.searches.length));
  const typeWidth = Math.max(...group.rows.map((row) => row.resourceType.length));
  const rows = group.rows.map((row) => {
    const head = `  ${row.searches.padStart(countWidth)}  ${row.resourceType.padEnd(typeWidth)}  `;
    return row.lines === '' ? head.trimEnd() : wrap(row.lines, head, ' '.repeat(head.length));
  });
  return [wrap(`${group.title}: ${count(group.searches)}`), wrap(group.hint, '  ', '  '), ...rows].join('\n');
}

/** Breaks at spaces; `first` opens the first line, `rest` all others. */
function wrap(text: string, first = '', rest = first): string {
  const lines: string[] = [];
  let line = first;
  let empty = true;
  for (const word of text.split(' ')) {
    if (!empty && line.length + 1 + word.length > WIDTH) {
      lines.push(line);
      line = rest;
      empty = true;
    }
    line += empty ? word : ` ${word}`;
    empty = false;
  }
  lines.push(line);
  return lines.join('\n');
}
