// Takes the lock on the file named, as the program does, and holds it until it is killed.
// Prints `held`, or `busy` when another process has it.
import { DatabaseSync } from '@photostructure/sqlite';

const db = new DatabaseSync(process.argv[2], { timeout: 0 });
try {
  db.exec('BEGIN EXCLUSIVE');
} catch {
  process.stdout.write('busy\n');
  process.exit(0);
}
process.stdout.write('held\n');
// The handle must stay referenced: the lock of one that is garbage-collected vanishes.
process.stdin.on('end', () => db.close()).resume();
