import { BlockList, isIP } from 'node:net';
import { SgpoError } from '@sgpo/core';

const inner = new BlockList();
for (const [net, prefix] of [['0.0.0.0', 8], ['10.0.0.0', 8], ['100.64.0.0', 10], ['127.0.0.0', 8], ['169.254.0.0', 16], ['172.16.0.0', 12], ['192.168.0.0', 16]] as const) inner.addSubnet(net, prefix, 'ipv4');
for (const [net, prefix] of [['::', 127], ['fc00::', 7], ['fe80::', 10]] as const) inner.addSubnet(net, prefix, 'ipv6');

/**
 * Refuses a teacher whose address itself says that it is on this machine or in its network, unless `host` or `host:port` is allowed.
 * A name is not looked up here: what it resolves to when it is called is checked by the caller of the teacher. Throws TEACHER.URL_NOT_ALLOWED.
 */
export function checkTeacherAddress(baseUrl: string, allowedHosts: readonly string[]): void {
  const url = new URL(baseUrl);
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const port = url.port !== '' ? url.port : url.protocol === 'https:' ? '443' : '80';
  const version = isIP(host);
  const isInner = version === 0 ? host === 'localhost' || host.endsWith('.localhost') : inner.check(host, version === 4 ? 'ipv4' : 'ipv6');
  const names = [host, url.hostname, `${url.hostname}:${port}`];
  if (!isInner || allowedHosts.some((allowed) => names.includes(allowed.toLowerCase()))) return;
  const message = `teacher.baseUrl points into the network of the service: ${url.hostname}:${port}`;
  const fix = `Add ${url.hostname}:${port} to SGPO_ALLOWED_HOSTS of the service, or name another teacher`;
  throw new SgpoError('TEACHER.URL_NOT_ALLOWED', message, { remedy: fix, problems: [{ field: 'teacher.baseUrl', value: url.origin, message, fix }] });
}
