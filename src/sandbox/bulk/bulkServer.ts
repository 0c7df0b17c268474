import type { Exchange, Route } from '../exchange.ts';
import type { FaultSubject } from '../faultScript.ts';
import type { OracleLine } from '../oracle.ts';
import type { SearchContext } from '../search.ts';
import { bulkOracle, type BulkOracle, type OracleKickoff } from './bulkOracle.ts';
import type { Changes } from './changes.ts';
import { exportStore } from './exports.ts';
import { fileAnswer } from './fileAnswer.ts';
import { membersOf } from './groups.ts';
import { kickoffAnswer, type BulkContext } from './kickoffAnswer.ts';
import type { ExportLevel } from './kickoffRequest.ts';
import type { BulkSettings } from './options.ts';
import { cancelAnswer, statusAnswer } from './statusAnswer.ts';

export interface BulkServerOptions {
  readonly context: SearchContext;
  readonly changes: Changes;
  readonly settings: BulkSettings;
  readonly origin: string;
  /** Origin of the other listener; without one, a name that no one answers to. */
  readonly otherOrigin: string;
  readonly now: () => number;
}

/** The Bulk Data side of the sandbox. */
export interface BulkServer {
  /** For the FHIR server. */
  readonly routes: readonly Route[];
  /** For the other listener: status, manifests and files, but no kick-off. */
  readonly otherRoutes: readonly Route[];
  readonly oracle: (kickoff: OracleKickoff) => BulkOracle<OracleLine>;
  /** Ends what is being exported and removes its files. */
  close(): Promise<void>;
}

const escaped = (path: string) => path.replaceAll('.', '\\.');

/** The routes of `$export` and what follows it. */
export function bulkServer(options: BulkServerOptions): BulkServer {
  const { context, changes, settings, origin, otherOrigin, now } = options;
  const fhirPath = new URL(context.fhirBase).pathname;
  // Epic's lies beside the FHIR base, not under it (H).
  const statusPath =
    settings.dialect === 'epic' ? fhirPath.replace(/\/R4$/, '/BulkRequest') : `${fhirPath}/bulkstatus`;
  const exports = exportStore(settings, now);
  const bulk: BulkContext = {
    context,
    changes,
    settings,
    exports,
    members: membersOf(context.population, settings),
    statusUrl: (exportId) => `${origin}${statusPath}/${exportId}`,
    origin: (other) => (other ? otherOrigin : origin),
    now,
  };

  function kickoff(pattern: string, level: ExportLevel): Route {
    return {
      methods: ['GET', 'POST'],
      pattern: new RegExp(`^${escaped(fhirPath)}${pattern}\\$export$`),
      subject: (exchange): FaultSubject => ({
        endpoint: 'kickoff',
        query: exchange.query.map(([name, value]) => `${name}=${value}`).join('&'),
        url: exchange.url,
      }),
      handle: (exchange, [groupId], fault) => kickoffAnswer(bulk, exchange, level, groupId, fault),
    };
  }
  const under = (rest: string) => new RegExp(`^${escaped(statusPath)}/([0-9A-F]{32})${rest}$`);
  const statusSubject = (exchange: Exchange, [exportId = '', page = '1']: readonly string[]) => {
    const job = exports.find(exportId);
    const endpoint: FaultSubject['endpoint'] = job && exports.isDue(job) ? 'manifest' : 'status';
    return { endpoint, query: '', page: Number(page), url: exchange.url };
  };
  const otherRoutes: readonly Route[] = [
    {
      methods: ['GET'],
      pattern: under('(?:/manifest/([1-9]\\d*))?'),
      subject: statusSubject,
      handle: (exchange, [exportId = '', page = '1'], fault) =>
        statusAnswer(bulk, exchange, exportId, Number(page), fault),
    },
    {
      methods: ['DELETE'],
      pattern: under(''),
      subject: (exchange) => ({ endpoint: 'cancel', query: '', url: exchange.url }),
      handle: (exchange, [exportId = '']) => cancelAnswer(bulk, exchange, exportId),
    },
    {
      methods: ['GET'],
      pattern: under('/files/([0-9a-f]+)/([1-9]\\d*)\\.ndjson'),
      subject: (exchange, [exportId = '', , number = '']) => {
        const type = exports.find(exportId)?.files?.[Number(number) - 1]?.type;
        return { endpoint: 'file', type, query: '', page: Number(number), url: exchange.url };
      },
      handle: (exchange, [exportId = '', set = '', number = ''], fault) =>
        fileAnswer(bulk, exchange, exportId, set, Number(number), fault),
    },
  ];
  return {
    routes: [
      kickoff('/', 'system'),
      kickoff('/Patient/', 'patient'),
      kickoff('/Group/([^/]+)/', 'group'),
      ...otherRoutes,
    ],
    otherRoutes,
    oracle: (asked) => bulkOracle(bulk, asked),
    close: () => exports.close(),
  };
}
