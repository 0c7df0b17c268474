import { count } from './format.ts';
import { TYPE_COLUMNS, type CauseGroup, type ReportView, type TypeRow } from './reportView.ts';

/** What a plain mail client shows without wrapping (RFC 5322, 2.1.1: lines of at most 78 characters). */
const WIDTH = 78;

/** The report as plain text of 78 columns; only a word longer than that (a path) makes a longer line. */
export function renderText(view: ReportView, whole: string): string {
  const blocks: string[] = [
    underlined(`${view.word} - ${view.headline}`, '='),
    [...view.verdict, ...command(view)].map((line) => wrap(line)).join('\n'),
    facts(view.facts),
  ];
  if (view.rows.length > 0) blocks.push(typeTable(view));
  for (const outcome of ['failed', 'gap'] as const) {
    const groups = view.groups.filter((group) => group.outcome === outcome);
    if (groups.length === 0) continue;
    blocks.push(
      underlined(outcome === 'failed' ? 'Failed searches' : 'Gaps', '-') +
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

function typeTable(view: ReportView): string {
  const rows = [...view.rows, view.total];
  const widths = TYPE_COLUMNS.map((head, i) =>
    Math.max(head.length, ...rows.map((row) => row.cells[i]!.length)),
  );
  const numbers = widths.reduce((sum, width) => sum + width + 1, 0);
  const longest = Math.max(...rows.map((row) => row.resourceType.length));
  const nameWidth = Math.max(6, Math.min(longest, WIDTH - numbers));
  const line = (name: string, cells: readonly string[]) => {
    const figures = cells.map((cell, i) => ' ' + cell.padStart(widths[i]!)).join('');
    // A name too long for its column gets a line of its own, and the numbers stay where they belong.
    return name.length <= nameWidth
      ? name.padEnd(nameWidth) + figures
      : `${name}\n${' '.repeat(nameWidth)}${figures}`;
  };
  const rule = '-'.repeat(nameWidth + numbers);
  const row = ({ resourceType, cells }: TypeRow) => line(resourceType, cells);
  const cut =
    view.cut.types > 0 ? [`... and ${count(view.cut.types)} more types (counted in the total)`] : [];
  return [
    line('Type', TYPE_COLUMNS),
    rule,
    ...view.rows.map(row),
    ...cut,
    rule,
    row(view.total),
    wrap(view.baseline),
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
