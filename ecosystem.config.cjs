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

module.exports = {
  apps: [
    {
      name: 'fhir-rounds',
      cwd: __dirname,
      // Installs and builds what is missing. Another INI: args: ['daemon', '--config', '/etc/fhir-rounds.ini'].
      script: path.join(__dirname, 'src', 'bootstrap.mjs'),
      args: ['daemon'],
      // Without exec_mode, instances would mean a cluster.
      exec_mode: 'fork',
      instances: 1,

      // The daemon says `ready` once its schedules run; the first start may install and build before.
      wait_ready: true,
      listen_timeout: 60_000,
      // SIGINT, then ten seconds to bring what is committed into order; what is cut off goes on at the next start.
      kill_timeout: 10_000,
      // On Windows a signal cannot be caught; there PM2 sends the message `shutdown`.
      shutdown_with_message: process.platform === 'win32',

      // After a crash: again at once, then ever later. Exit 2 is a configuration that a restart does not mend;
      // `pm2 list` then says `waiting restart` and yet waits for nothing (PM2 7.0.4, lib/God.js).
      exp_backoff_restart_delay: 1000,
      stop_exit_codes: [2],

      // What reaches stdout and stderr; the program's own log, fhir-rounds.log, lies beside them and is rotated.
      out_file: path.join(logs, 'pm2-out.log'),
      error_file: path.join(logs, 'pm2-error.log'),
      merge_logs: true,

      // PM2 keeps a process's environment in its dump, so the shell's secrets must not get there. Every name holds
      // the empty text, so this filters all of them; `true` would filter none (PM2 7.0.4, lib/Common.js).
      // `pm2 restart --update-env` passes by this: restart with this file instead.
      filter_env: [''],
      env: {
        // Its own log is enough: pm2-error.log is for what comes before and after, and nobody rotates it.
        FHIR_ROUNDS_LOGGING_TARGET: process.env.FHIR_ROUNDS_LOGGING_TARGET ?? 'file',
        ...Object.fromEntries(PASSED_ON.filter(isPassedOn).map((name) => [name, process.env[name]])),
      },
    },
  ],
};
