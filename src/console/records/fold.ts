/**
 * A text as filters and sorting see it: without regard to case (in every script: ß is ss, a final sigma a sigma) and to how
 * a letter with a mark is composed. One line.
 */
export function fold(text: string): string {
  if (ASCII.test(text)) return text.toLowerCase();
  return text
    .normalize('NFC')
    .toUpperCase()
    .toLowerCase()
    .replaceAll('ς', 'σ')
    .normalize('NFC')
    .replace(BREAKS, ' ');
}

/** All of ASCII but what breaks a line. */
const ASCII = /^[\t\x20-\x7e]*$/;
const BREAKS = /[\p{Cc}\p{Zl}\p{Zp}]+/gu;
