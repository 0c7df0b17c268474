import { RoundsError } from '../errors.ts';
import type { BulkOracle, OracleKickoff } from './bulk/bulkOracle.ts';
import { jsonAnswer, type Route } from './exchange.ts';
import { parseFaults, type FaultRule } from './faults.ts';
import { rowsOfList, type OracleLine, type OracleRow } from './oracle.ts';
import type { RequestLog } from './requestLog.ts';

/** What the sandbox tells about itself: for tests and people. */
export interface AdminOptions {
  readonly log: RequestLog;
  readonly mails: () => readonly unknown[];
  readonly faults: () => readonly FaultRule[];
  setFaults(rules: readonly FaultRule[]): void;
  oracle(rows: readonly OracleRow[]): AsyncIterable<OracleLine>;
  bulkOracle(kickoff: OracleKickoff): BulkOracle<OracleLine>;
}

/** The lines of an export, and after them those of its deletions. */
async function* exportLines({ resources, deletions }: BulkOracle<OracleLine>): AsyncIterable<string> {
  for (const line of resources) yield `${JSON.stringify(line)}\n`;
  for (const deleted of deletions) yield `${JSON.stringify({ deleted })}\n`;
}

async function* ndjson(lines: AsyncIterable<OracleLine>): AsyncIterable<string> {
  for await (const line of lines) yield `${JSON.stringify(line)}\n`;
}

/** The `/__...` pages. They need no token: the server listens on loopback only. */
export function adminRoutes(options: AdminOptions): readonly Route[] {
  return [
    {
      methods: ['GET', 'POST'],
      pattern: /^\/__oracle$/,
      async handle(exchange) {
        // The Parameters of a posted kick-off are the body.
        const url = exchange.query.find(([name]) => name === 'export')?.[1];
        if (url !== undefined) {
          try {
            const posted = exchange.body === '' ? {} : { parameters: JSON.parse(exchange.body) as unknown };
            const body = exportLines(options.bulkOracle({ url, ...posted }));
            return { status: 200, contentType: 'application/x-ndjson', body };
          } catch (error) {
            return jsonAnswer(400, { problem: (error as Error).message });
          }
        }
        const list = exchange.query.find(([name]) => name === 'list')?.[1] ?? exchange.body;
        return {
          status: 200,
          contentType: 'application/x-ndjson',
          body: ndjson(options.oracle(rowsOfList(list))),
        };
      },
    },
    {
      methods: ['GET'],
      pattern: /^\/__requests$/,
      handle: async () => jsonAnswer(200, { counts: options.log.counts(), requests: options.log.requests }),
    },
    {
      methods: ['GET'],
      pattern: /^\/__faults$/,
      handle: async () => jsonAnswer(200, options.faults()),
    },
    {
      methods: ['PUT'],
      pattern: /^\/__faults$/,
      async handle(exchange) {
        try {
          options.setFaults(parseFaults(JSON.parse(exchange.body)));
          return jsonAnswer(200, options.faults());
        } catch (error) {
          const problems =
            error instanceof RoundsError ? error.problems : [{ where: 'body', what: 'not JSON' }];
          return jsonAnswer(400, { problems });
        }
      },
    },
    {
      methods: ['GET'],
      pattern: /^\/__mails$/,
      handle: async () => jsonAnswer(200, options.mails()),
    },
  ];
}
