// PM2's entry: `pm2 start ecosystem.config.cjs`, then `pm2 save`. Written for PM2 7.
const path = require('node:path');

const logs = process.env.FHIR_ROUNDS_PATHS_LOG_FOLDER ?? path.join(__dirname, 'logs');

/** All that the daemon gets of the shell's environment; settings and secrets belong in the INI, its files or `.env`. */
const PASSED_ON = [
  ...['PATH', 'HOME', 'USER', 'LANG', 'TZ', 'TMPDIR', 'FHIR_ROUNDS_PATHS_LOG_FOLDER'],
  ...['HTTPS_PROXY', 'HTTP_PROXY', 'NO_PROXY'],
  ...['SystemRoot', 'TEMP', 'APPDATA', 'USERPROFILE'],
];
/** A proxy with a password in its URL is not passed on either: [network] proxy of the INI takes it. */
const isPassedOn = (name) => process.env[name] !== undefined && !process.env[name].includes('@');

/** `log`: the beginning of the names of what PM2 keeps of it. */
const program = (name, log, args, stopExitCodes) => ({
  name,
  cwd: __dirname,
  // Installs and builds what is missing.
  script: path.join(__dirname, 'src', 'bootstrap.mjs'),
  args,
  // Without exec_mode, instances would mean a cluster.
  exec_mode: 'fork',
  instances: 1,

  // It says `ready` once it serves; the first start may install and build before.
  wait_ready: true,
  listen_timeout: 60_000,
  // SIGINT, then ten seconds to bring what is committed into order; what is cut off goes on at the next start.
  kill_timeout: 10_000,
  // On Windows a signal cannot be caught; there PM2 sends the message `shutdown`.
  shutdown_with_message: process.platform === 'win32',

  // After a crash: again at once, then ever later. Exit 2 is a configuration that a restart does not mend;
  // `pm2 list` then says `waiting restart` and yet waits for nothing (PM2 7.0.4, lib/God.js).
  exp_backoff_restart_delay: 1000,
  stop_exit_codes: stopExitCodes,

  // What reaches stdout and stderr; the program's own log, fhir-rounds.log, lies beside them and is rotated.
  out_file: path.join(logs, `${log}-out.log`),
  error_file: path.join(logs, `${log}-error.log`),
  merge_logs: true,

  // PM2 keeps a process's environment in its dump, so the shell's secrets must not get there. Every name holds
  // the empty text, so this filters all of them; `true` would filter none (PM2 7.0.4, lib/Common.js).
  // `pm2 restart --update-env` passes by this: restart with this file instead.
  filter_env: [''],
  env: {
    // Its own log is enough: PM2's are for what comes before and after, and nobody rotates them.
    FHIR_ROUNDS_LOGGING_TARGET: process.env.FHIR_ROUNDS_LOGGING_TARGET ?? 'file',
    ...Object.fromEntries(PASSED_ON.filter(isPassedOn).map((name) => [name, process.env[name]])),
  },
});

module.exports = {
  // Another INI: args ['daemon', '--config', '/etc/fhir-rounds.ini'], and the same for the console.
  apps: [
    program('fhir-rounds', 'pm2', ['daemon'], [2]),
    // Ends at once, and well, where [console] enabled is not set; 0 is no reason to start it again.
    program('fhir-rounds-console', 'pm2-console', ['console', '--if-enabled'], [0, 2]),
  ],
};
