const STEP = '  ';

/**
 * JSON with a line for each member, its tokens as they came: parsing would turn 1.50 into 1.5. Text that is no JSON comes
 * out with other white space, and no other change. Stops at `maxChars`.
 */
export function indentJson(
  text: string,
  maxChars: number,
): { readonly text: string; readonly isWhole: boolean } {
  let out = '';
  let depth = 0;
  const token = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+|"/g;
  const line = (): string => `\n${STEP.repeat(Math.max(0, depth))}`;
  let before = '';
  for (const [part] of text.matchAll(token)) {
    if (out.length > maxChars) return { text: out, isWhole: false };
    const isClosing = part === '}' || part === ']';
    if (isClosing) depth--;
    const wasOpening = before === '{' || before === '[';
    if (isClosing ? !wasOpening : wasOpening || before === ',') out += line();
    out += part === ':' ? ': ' : part;
    if (part === '{' || part === '[') depth++;
    before = part;
  }
  return { text: out, isWhole: true };
}
