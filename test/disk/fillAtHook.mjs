// Puts fillAtSqlite.mjs in the place of the SQLite package, for everyone but itself.
const TELLING = new URL('fillAtSqlite.mjs', import.meta.url).href;

export function resolve(specifier, context, next) {
  if (specifier === '@photostructure/sqlite' && context.parentURL !== TELLING) {
    return { url: TELLING, shortCircuit: true };
  }
  return next(specifier, context);
}
