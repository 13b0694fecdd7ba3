import ipaddr from 'ipaddr.js'

/** An IPv4 network as AWS writes it: with a prefix length, and without host bits. */
export function networkOf(cidr: string): string {
  const network = cidr.includes('/') ? cidr : `${cidr}/32`
  const [, length] = ipaddr.IPv4.parseCIDR(network)
  return `${ipaddr.IPv4.networkAddressFromCIDR(network)}/${length}`
}

/** Who may connect: the networks named; if none is named, everybody at a public address, else the VPC's networks. */
export function ingressRules(
  access: { is_public?: boolean | undefined; allowed_cidrs?: string[] | undefined } | undefined,
  vpcNetworks: string[],
): string[] {
  const named = access?.allowed_cidrs ?? []
  const networks = named.length > 0 ? named : access?.is_public ? ['0.0.0.0/0'] : vpcNetworks
  return [...new Set(networks.map(networkOf))].sort()
}
