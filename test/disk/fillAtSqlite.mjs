// The SQLite package, which tells of each statement as it is prepared: right before it is first run.
import * as sqlite from '@photostructure/sqlite';
import { reached } from './fillAt.mjs';

export class DatabaseSync extends sqlite.DatabaseSync {
  prepare(sql, ...options) {
    reached(`sql ${sql.replace(/\s+/g, ' ').trim()}`);
    return super.prepare(sql, ...options);
  }
}
