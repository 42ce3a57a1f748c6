import { BlockList, isIPv4, isIPv6 } from 'node:net';

/** Networks of the IANA special-purpose registries, and cloud metadata addresses that lie outside them. */
const closedIpv4 = [
  '0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '169.254.0.0/16', '172.16.0.0/12', '192.0.0.0/24', '192.0.2.0/24', '192.88.99.0/24',
  '192.168.0.0/16', '198.18.0.0/15', '198.51.100.0/24', '203.0.113.0/24', '224.0.0.0/4', '240.0.0.0/4', '168.63.129.16/32',
];
/** Inside 2000::/3, the only part of IPv6 that is open at all: protocol assignments with Teredo, documentation, 6to4. */
const closedIpv6 = ['2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20'];

const ipv4 = blockList(closedIpv4, 'ipv4');
const ipv6 = blockList(closedIpv6, 'ipv6');
const globalUnicast = blockList(['2000::/3'], 'ipv6');
/** Networks whose last 32 bits are an IPv4 address that the packet ends up at: mapped, and NAT64. */
const embedding = blockList(['::ffff:0:0/96', '64:ff9b::/96'], 'ipv6');

/** True for an address of the public internet. False for loopback, private, link-local, unique-local, shared, multicast, reserved and metadata addresses. */
export function isPublicAddress(address: string): boolean {
  if (isIPv4(address)) return !ipv4.check(address, 'ipv4');
  if (!isIPv6(address)) return false;
  if (embedding.check(address, 'ipv6')) return isPublicAddress(lastIpv4(address));
  return globalUnicast.check(address, 'ipv6') && !ipv6.check(address, 'ipv6');
}

function blockList(networks: readonly string[], family: 'ipv4' | 'ipv6'): BlockList {
  const list = new BlockList();
  for (const network of networks) {
    const [address = '', bits] = network.split('/');
    list.addSubnet(address, Number(bits), family);
  }
  return list;
}

/** The IPv4 address in the last 32 bits of an IPv6 address, whichever way it is written. */
function lastIpv4(address: string): string {
  // URL writes every IPv6 address in one form, with the last 32 bits as two hexadecimal groups.
  const written = new URL(`http://[${address.replace(/%.*$/, '')}]`).hostname.slice(1, -1);
  const groups = written.split(':').slice(-2).map((group) => Number.parseInt(group === '' ? '0' : group, 16));
  return groups.flatMap((group) => [group >> 8, group & 0xff]).join('.');
}
