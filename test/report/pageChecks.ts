/// <reference lib="dom" />
/// <reference lib="dom.iterable" />

/** Checks that run inside a page: each is handed to the browser as it stands, so it uses nothing from outside. */

/** Texts whose contrast is below WCAG 2.2, 1.4.3 (4.5:1; 3:1 for large text), as `ratio text`. */
export function lowContrast(): string[] {
  type Rgba = readonly [number, number, number, number];
  const parse = (text: string): Rgba => {
    const [r = 0, g = 0, b = 0, a = 1] = (text.match(/[\d.]+/g) ?? []).map(Number);
    return [r, g, b, a];
  };
  const over = (top: Rgba, below: Rgba): Rgba => {
    const mixed = [0, 1, 2].map((i) => top[i]! * top[3] + below[i]! * (1 - top[3]));
    return [mixed[0]!, mixed[1]!, mixed[2]!, 1];
  };
  const luminance = ([r, g, b]: Rgba): number => {
    const [x, y, z] = [r, g, b].map((part) => {
      const c = part / 255;
      return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * x! + 0.7152 * y! + 0.0722 * z!;
  };
  const background = (element: Element | null): Rgba => {
    if (element === null) return [255, 255, 255, 1];
    const own = parse(getComputedStyle(element).backgroundColor);
    return own[3] === 1 ? own : over(own, background(element.parentElement));
  };
  const low: string[] = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent?.trim() ?? '';
    const element = walker.currentNode.parentElement;
    if (text === '' || element === null || element.getClientRects().length === 0) continue;
    const style = getComputedStyle(element);
    const below = background(element);
    const [light, dark] = [luminance(over(parse(style.color), below)), luminance(below)].sort(
      (a, b) => b - a,
    );
    const ratio = (light! + 0.05) / (dark! + 0.05);
    const size = parseFloat(style.fontSize);
    const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (isLarge ? 3 : 4.5)) low.push(`${ratio.toFixed(2)} ${text.slice(0, 40)}`);
  }
  return low;
}

/** What a screen reader would miss in the tables: heads without a scope, columns without a head. */
export function tableFaults(): string[] {
  const faults: string[] = [];
  for (const table of document.querySelectorAll('table')) {
    const role = table.getAttribute('role');
    if (role === 'presentation') continue;
    if (role === 'img') {
      if ((table.getAttribute('aria-label') ?? '') === '') faults.push('an image without a label');
      continue;
    }
    for (const head of table.querySelectorAll('th')) {
      if (!head.hasAttribute('scope')) faults.push(`no scope: ${head.textContent}`);
    }
    for (const row of table.querySelectorAll('tr')) {
      if (row.querySelector('th') === null) faults.push(`a row without a head: ${row.textContent}`);
    }
  }
  return faults;
}
