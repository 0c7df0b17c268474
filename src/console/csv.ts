/**
 * CSV as RFC 4180 has it, safe to open in a spreadsheet: a cell that one would take for a formula gets an apostrophe in
 * front (OWASP, "CSV Injection"). A plain number stays a number, also a negative one.
 */
export function csvLine(cells: readonly string[]): string {
  return `${cells.map(csvCell).join(',')}\r\n`;
}

/** So that spreadsheets read UTF-8. */
export const CSV_START = '\uFEFF';

const NUMBER = /^[+-]?\d+(\.\d+)?([eE][+-]?\d+)?$/;

function csvCell(text: string): string {
  const safe = /^[=+\-@\t\r\n|%]/.test(text) && !NUMBER.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
