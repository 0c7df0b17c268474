// Puts countedSqlite.mjs in the place of the SQLite package, for everyone but itself.
const COUNTED = new URL('countedSqlite.mjs', import.meta.url).href;

export function resolve(specifier, context, next) {
  if (specifier === '@photostructure/sqlite' && context.parentURL !== COUNTED) {
    return { url: COUNTED, shortCircuit: true };
  }
  return next(specifier, context);
}
