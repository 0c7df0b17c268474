// Preloaded: kills the process at the DIE_AT-th call that changes a name or opens a file for writing.
import fsPromises from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';

const dieAt = Number(process.env.DIE_AT);
let calls = 0;
for (const name of ['rename', 'link', 'copyFile', 'rm', 'open']) {
  const real = fsPromises[name];
  fsPromises[name] = async (...args) => {
    if (name === 'open' && !['w', 'wx', 'a'].includes(args[1])) return real(...args);
    if (++calls === dieAt) process.kill(process.pid, 'SIGKILL');
    return real(...args);
  };
}
syncBuiltinESMExports();
