import path from 'node:path';
import { Writable } from 'node:stream';
import type { Logger } from 'winston';
import { PRIVATE_MODES, provePathWritable } from './files.ts';
import { LogFile } from './logFile.ts';

/** What may stand in a log line beside its event: numbers, codes, names of ours. Never PHI, a URL's query or a token. */
export type LogFields = Readonly<Record<string, string | number | boolean | null | undefined>> & {
  /** winston's own names: a field of one of these would be lost. */
  readonly [name in 'message' | 'level' | 'timestamp']?: never;
};

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';
export type LogTarget = 'file' | 'stdout' | 'both';

/** A structured log: `event` is a stable name such as `run.started`. */
export interface Log {
  debug(event: string, fields?: LogFields): void;
  info(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields): void;
  error(event: string, fields?: LogFields): void;
  /** The same log with `fields` on every line. */
  child(fields: LogFields): Log;
}

export interface LogOptions {
  readonly level: LogLevel;
  readonly target: LogTarget;
  /** Folder of `fhir-rounds.log` and its rotations. */
  readonly folder: string;
  /** Bytes of one log file before it is rotated. */
  readonly maxBytes?: number;
  /** Files kept, the one that is written included. */
  readonly maxFiles?: number;
  /** A terminal gets human lines instead of JSON on stderr. */
  readonly human: boolean;
}

/** A log that goes nowhere, for library use and pure tests. */
export const silentLog: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silentLog,
};

const LOG_FILE = 'fhir-rounds.log';
const MAX_BYTES = 20 * 1024 * 1024;
const MAX_FILES = 10;

/**
 * Opens the log: JSON lines in `folder/fhir-rounds.log` (rotated at `maxBytes`, mode 0600) and, as `target` says,
 * lines on stderr, since stdout belongs to results. `close()` resolves when everything is written.
 * Throws PATH_UNUSABLE, DISK_FULL.
 */
export async function openLog(options: LogOptions): Promise<Log & { close(): Promise<void> }> {
  if (options.target !== 'stdout') await provePathWritable(options.folder);
  const { createLogger, format, transports } = (await import('winston')).default;
  const human = format.printf((line) => {
    const { timestamp, level, message, ...fields } = line;
    const rest = Object.entries(fields)
      .map(([key, value]) => `${key}=${String(value)}`)
      .join(' ');
    return `${String(timestamp).slice(11, 19)} ${level.padEnd(5)} ${String(message)}${rest ? ' ' + rest : ''}`;
  });
  const json = format.printf((line) => {
    const { timestamp, level, message, ...fields } = line;
    return JSON.stringify({ at: timestamp, level, event: message, ...fields });
  });
  const sinks = [];
  let file: LogFile | undefined;
  if (options.target !== 'stdout') {
    file = new LogFile(path.join(options.folder, LOG_FILE), {
      maxBytes: options.maxBytes ?? MAX_BYTES,
      maxFiles: options.maxFiles ?? MAX_FILES,
      mode: PRIVATE_MODES.file,
    });
    sinks.push(new transports.Stream({ stream: writableTo(file), format: json }));
  }
  if (options.target !== 'file') {
    sinks.push(
      new transports.Console({
        stderrLevels: ['error', 'warn', 'info', 'debug'],
        format: options.human ? human : json,
      }),
    );
  }
  const logger = createLogger({
    level: options.level,
    levels: { error: 0, warn: 1, info: 2, debug: 3 },
    format: format.timestamp(),
    transports: sinks,
  });
  return {
    ...wrap(logger, {}),
    close: async () => {
      await closeLogger(logger);
      file?.close();
    },
  };
}

function writableTo(file: LogFile): Writable {
  return new Writable({
    decodeStrings: false,
    write: (line: string, _encoding, written) => {
      file.write(line);
      written();
    },
  });
}

function wrap(logger: Logger, bound: LogFields): Log {
  const write = (level: LogLevel) => (event: string, fields?: LogFields) => {
    logger.log({ ...bound, ...fields, level, message: event });
  };
  return {
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    child: (fields) => wrap(logger, { ...bound, ...fields }),
  };
}

async function closeLogger(logger: Logger): Promise<void> {
  await new Promise<void>((resolve) => {
    logger.once('finish', resolve);
    logger.end();
  });
  // Ending the logger ends its transports, and does not wait for them.
  await Promise.all(
    logger.transports.map(
      (transport) =>
        new Promise<void>((resolve) => {
          if (transport.writableFinished) resolve();
          else transport.once('finish', resolve);
        }),
    ),
  );
}
