// The SQLite package with its durable operations counted: a commit, and a statement outside of a transaction.
import * as sqlite from '@photostructure/sqlite';
import { operation } from './operations.mjs';

const CHANGES = /^\s*(COMMIT|CREATE|INSERT|UPDATE|DELETE|DROP|ALTER)|wal_checkpoint|journal_mode = WAL/;

export class DatabaseSync extends sqlite.DatabaseSync {
  exec(sql) {
    const done =
      CHANGES.test(sql) && (sql === 'COMMIT' || !this.isTransaction)
        ? operation(`sql ${short(sql)}`)
        : undefined;
    super.exec(sql);
    done?.();
  }

  prepare(sql, ...options) {
    const statement = super.prepare(sql, ...options);
    const run = statement.run.bind(statement);
    Object.defineProperty(statement, 'run', {
      value: (...values) => {
        const done = this.isTransaction ? undefined : operation(`sql ${short(sql)}`);
        const result = run(...values);
        done?.();
        return result;
      },
    });
    return statement;
  }
}

function short(sql) {
  return sql.replace(/\s+/g, ' ').trim().slice(0, 40);
}
