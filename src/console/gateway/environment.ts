import type { JobConfig } from '../../config/schema.ts';
import { BUILT_IN_ENVIRONMENTS } from '../../config/schema/access.ts';
import { isLoopback } from '../../fhir/urlPolicy.ts';
import { html, type Html } from '../html.ts';

/** Whether the records behind a server are somebody's. */
export type Environment = 'sandbox' | 'production';

/**
 * What the gateway lets through: `open` all that the server gives; `roster` the records of patients of the roster alone;
 * `off` nothing.
 */
export type GatewayMode = 'open' | 'roster' | 'off';

/** Servers with nobody's records: Epic's public sandbox. By the host, since an INI may name anything `sandbox`. */
const SANDBOX_HOSTS: ReadonlySet<string> = new Set(
  Object.values(BUILT_IN_ENVIRONMENTS).flatMap(({ endpoint }) =>
    endpoint === undefined ? [] : [new URL(endpoint).host],
  ),
);

export function environmentOf({ settings }: JobConfig): Environment {
  const { protocol, hostname, host } = new URL(settings.epic_settings.epic_endpoint);
  // Behind https on loopback there may be a tunnel, and a hospital at its end.
  const isOurs = protocol === 'http:' && isLoopback(hostname);
  return isOurs || SANDBOX_HOSTS.has(host) ? 'sandbox' : 'production';
}

export function gatewayMode(job: JobConfig): GatewayMode {
  const { gateway } = job.settings.console;
  if (gateway === 'off') return 'off';
  if (environmentOf(job) === 'sandbox') return 'open';
  return gateway === 'on' ? 'roster' : 'off';
}

/** Which kind of server it is, at a glance: in words, and by colour. */
export function environmentBadge(job: JobConfig): Html {
  const environment = environmentOf(job);
  const { host } = new URL(job.settings.epic_settings.epic_endpoint);
  return html`<span class="environment ${environment}"
    ><strong>${environment.toUpperCase()}</strong> ${host}</span
  >`;
}
