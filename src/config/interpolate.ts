export type Interpolated = { readonly text: string } | { readonly problem: string };

/**
 * Finds what a name in `${...}` stands for. `name` is as written; the answer is the text there (which may hold
 * further references, seen from `section`), or why it cannot be used, or undefined when nothing has that name.
 */
export type FindReference = (
  name: string,
  section: string,
) =>
  | { readonly id: string; readonly text: string; readonly section: string | undefined }
  | { readonly problem: string }
  | undefined;

const REFERENCE = /\$(\$?)\{([^{}]*)\}/g;

/**
 * Replaces `${key}`, `${section.key}` and `${ENV}` in `text`; `$${` stands for a literal `${`. Names in `templates`
 * are left as they are. Unknown names and circles are problems, since an empty replacement would hide a mistake.
 */
export function interpolate(
  text: string,
  section: string,
  find: FindReference,
  templates: ReadonlySet<string>,
  trail: readonly string[] = [],
): Interpolated {
  let problem: string | undefined;
  const replaced = text.replace(REFERENCE, (whole, escaped: string, name: string) => {
    if (escaped !== '') return whole.slice(1);
    if (templates.has(name)) return whole;
    const result = resolve(name.trim(), section, find, trail);
    if ('text' in result) return result.text;
    problem ??= result.problem;
    return '';
  });
  if (problem !== undefined) return { problem };
  if (/\$\{[^}]*$/.test(replaced))
    return { problem: 'opens ${ and does not close it; write ${name}, or $${ for the text itself' };
  return { text: replaced };
}

function resolve(name: string, section: string, find: FindReference, trail: readonly string[]): Interpolated {
  const found = find(name, section);
  if (found === undefined) {
    const hint = name.includes(':') ? `; write \${${name.replace(':', '.')}}` : '';
    return { problem: `\${${name}} is neither a key nor an environment variable${hint}` };
  }
  if ('problem' in found) return found;
  if (trail.includes(found.id))
    return { problem: `\${${name}} leads back to itself: ${[...trail, found.id].join(' -> ')}` };
  // An environment variable's text is taken as it is.
  if (found.section === undefined) return { text: found.text };
  return interpolate(found.text, found.section, find, new Set(), [...trail, found.id]);
}
