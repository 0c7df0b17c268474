import { BlockList, isIP } from 'node:net';

/**
 * Addresses that lead into a site's own network, or to this machine. Sources: IANA's special-purpose registries
 * (RFC 6890), RFC 1918, RFC 3927 (169.254/16, where clouds serve their credentials), RFC 6598, RFC 4193.
 */
const INTERNAL = new BlockList();
for (const [net, prefix] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
] as const) {
  INTERNAL.addSubnet(net, prefix, 'ipv4');
}
for (const [net, prefix] of [
  ['::', 96],
  // IPv4 written as IPv6, mapped or by NAT64: no server has a reason to name one so.
  ['::ffff:0:0', 96],
  ['64:ff9b::', 96],
  ['fc00::', 7],
  ['fe80::', 10],
  ['ff00::', 8],
] as const) {
  INTERNAL.addSubnet(net, prefix, 'ipv6');
}
/** RFC 6761, 6762, 8375 and what ICANN set aside for private use. */
const INTERNAL_NAME = /(?:^|\.)(?:localhost|local|internal|home\.arpa)$/;

/**
 * Whether a URL's host (as the URL class gives it, so that `0x7f.1` is `127.0.0.1` already) is a loopback, private or
 * link-local address, or a name that only a local network knows. Other names are not resolved: by the time of the
 * request they may mean something else, and behind a proxy it is the proxy that resolves them.
 */
export function isInternalHost(host: string): boolean {
  const name = host.replace(/^\[|\]$/g, '').toLowerCase();
  switch (isIP(name)) {
    case 4:
      return INTERNAL.check(name, 'ipv4');
    case 6:
      return INTERNAL.check(name, 'ipv6');
    default:
      return INTERNAL_NAME.test(name.replace(/\.$/, ''));
  }
}
