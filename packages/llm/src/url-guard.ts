import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { SgpoError } from '@sgpo/core';
import { isPublicAddress } from './address-rules.ts';

/**
 * Which addresses a teacher may have. A run names the address and the orchestrator calls it from inside its network, so that a run could
 * reach what its author cannot: only public addresses are open, others must be listed by the operator.
 */
export interface ResolvedAddress { readonly address: string; readonly family: number }

/** Addresses of a host name; rejects with the system's error when there are none. Tests give their own. */
export type Resolve = (hostname: string) => Promise<readonly ResolvedAddress[]>;

export const resolveHost: Resolve = (hostname) => lookup(hostname, { all: true });

/**
 * Resolves when the address may be called now. The connection checks again what it connects to, so a name that changes later gains nothing.
 * `allowedHosts`: entries `host` or `host:port`. Throws TEACHER.URL_NOT_ALLOWED, and TEACHER.UNREACHABLE for a name that does not resolve.
 */
export async function checkTeacherUrl(url: string, allowedHosts: readonly string[], resolve: Resolve = resolveHost): Promise<void> {
  const parsed = parseTeacherUrl(url, allowedHosts);
  const hostname = hostOf(parsed);
  if (isAllowedHost(parsed, allowedHosts) || isIP(hostname) !== 0) return;
  let addresses: readonly ResolvedAddress[];
  try {
    addresses = await resolve(hostname);
  } catch (cause) {
    throw new SgpoError('TEACHER.UNREACHABLE', `teacher.baseUrl ${showUrl(parsed)}: the host name "${hostname}" does not resolve`, { remedy: 'Check the spelling of teacher.baseUrl, and the name service of the orchestrator', cause });
  }
  refuseClosed(parsed, addresses);
}

/** All that can be checked without asking for names. Throws TEACHER.URL_NOT_ALLOWED. */
export function parseTeacherUrl(url: string, allowedHosts: readonly string[]): URL {
  if (!URL.canParse(url)) throw notAllowed('the given text', 'is not an address', 'Give the base URL of an OpenAI-compatible API, such as https://host/v1');
  const parsed = new URL(url);
  const shown = showUrl(parsed);
  if (parsed.protocol !== 'http:' && parsed.protocol !== 'https:') throw notAllowed(shown, `has the scheme "${parsed.protocol.slice(0, -1)}"`, 'Give an http or https address');
  if (parsed.username !== '' || parsed.password !== '') throw notAllowed(shown, 'holds credentials', 'Remove them and name the key with teacher.apiKey: env:NAME');
  if (parsed.search !== '' || parsed.hash !== '') throw notAllowed(shown, 'holds a query or a fragment', 'Give the address up to the path, such as https://host/v1');
  const hostname = hostOf(parsed);
  if (isIP(hostname) !== 0 && !isAllowedHost(parsed, allowedHosts)) refuseClosed(parsed, [{ address: hostname, family: isIP(hostname) }]);
  return parsed;
}

/** True when the operator lists the host, or the host with this port. */
export function isAllowedHost(url: URL, allowedHosts: readonly string[]): boolean {
  const hostname = hostOf(url);
  const port = url.port === '' ? (url.protocol === 'https:' ? '443' : '80') : url.port;
  const names = new Set([hostname, `[${hostname}]`, `${hostname}:${port}`, `[${hostname}]:${port}`]);
  return allowedHosts.some((entry) => names.has(entry.trim().toLowerCase()));
}

/** Throws TEACHER.URL_NOT_ALLOWED when one of the addresses is not public: a name with both kinds may lead to either. */
export function refuseClosed(url: URL, addresses: readonly ResolvedAddress[]): void {
  const closed = addresses.find(({ address }) => !isPublicAddress(address));
  if (closed === undefined) return;
  const hostname = hostOf(url);
  const where = closed.address === hostname ? 'is not a public address' : `leads to ${closed.address}, which is not a public address`;
  throw notAllowed(showUrl(url), where, `If the orchestrator may call it, add ${url.host} to SGPO_ALLOWED_HOSTS (host or host:port, separated by ",") and restart it`);
}

/** Scheme, host, port and path: never credentials, query or fragment. */
export const showUrl = (url: URL): string => `${url.protocol}//${url.host}${url.pathname}`;

/** Host name without the brackets of IPv6 and without a trailing dot. */
const hostOf = (url: URL): string => url.hostname.replace(/^\[(.*)\]$/, '$1').replace(/\.$/, '');

/** TEACHER.URL_NOT_ALLOWED about teacher.baseUrl. */
export function notAllowed(shown: string, message: string, fix: string): SgpoError {
  return new SgpoError('TEACHER.URL_NOT_ALLOWED', `teacher.baseUrl: ${shown} ${message}`, { remedy: fix, problems: [{ field: 'teacher.baseUrl', value: shown, message, fix }] });
}
