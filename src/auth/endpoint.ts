/**
 * Why a URL will not do as a place to send a client assertion to, or undefined when it will: absolute, https (http
 * on loopback addresses alone), without user, password and fragment. The answer never quotes the URL.
 */
export function endpointProblem(url: string): string | undefined {
  if (!URL.canParse(url)) return 'it is not an absolute URL';
  const { protocol, hostname, username, password, hash } = new URL(url);
  if (username !== '' || password !== '') return 'it holds a user name or a password';
  if (hash !== '') return 'it has a fragment';
  if (protocol === 'https:') return undefined;
  if (protocol === 'http:' && isLoopback(hostname)) return undefined;
  return 'it is not https (http is for loopback addresses alone)';
}

function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname);
}
