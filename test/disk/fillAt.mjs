// `node --import fillAt.mjs`: fills a disk for real, to its last byte, at the moment that FILL_AT names, once. Of the
// program nothing is changed; it goes on and meets the full disk.
import { Buffer } from 'node:buffer';
import fs from 'node:fs';
import { register, syncBuiltinESMExports } from 'node:module';
import path from 'node:path';

/** `at`: a pattern of `open PATH`, `rename PATH` or `sql STATEMENT`. */
const { at, folder } = JSON.parse(process.env.FILL_AT);
const pattern = new RegExp(at);
let isDone = false;

export function reached(what) {
  if (isDone || !pattern.test(what)) return;
  isDone = true;
  const fd = fs.openSync(path.join(folder, 'filler'), 'w');
  for (const size of [1 << 20, 1 << 12, 1]) {
    const block = Buffer.alloc(size);
    try {
      for (;;) fs.writeSync(fd, block);
    } catch (error) {
      if (error.code !== 'ENOSPC') throw error;
    }
  }
  fs.closeSync(fd);
  process.stderr.write(`the disk of ${folder} is full\n`);
}

for (const name of ['open', 'rename']) {
  const original = fs.promises[name];
  fs.promises[name] = (file, ...rest) => {
    reached(`${name} ${file}`);
    return original(file, ...rest);
  };
}
syncBuiltinESMExports();
register('./fillAtHook.mjs', import.meta.url);
