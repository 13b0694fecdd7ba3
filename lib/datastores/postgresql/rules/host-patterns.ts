import ipaddr from 'ipaddr.js'

const { IPv4 } = ipaddr

/** The host pattern of a user who may come from anywhere. */
export const ANY_HOST = '%'

/** The first octets of an address and `%`: `10.%`, `10.0.%`. */
const PREFIX = /^(\d+(?:\.\d+){0,2})\.%$/
/** The library also accepts leading zeros in a length (`/08`), which are refused here. */
const LENGTH = /\/(?:3[0-2]|[12]?\d)$/

/** The network of a host pattern (`10.0.%` is 10.0.0.0/16); undefined for `%`, and for anything that is no pattern. */
export function networkOf(host: string): string | undefined {
  if (IPv4.isValidFourPartDecimal(host)) return `${host}/32`
  if (LENGTH.test(host) && IPv4.isValidCIDRFourPartDecimal(host)) return host
  const octets = PREFIX.exec(host)?.[1]?.split('.')
  if (!octets) return undefined
  const address = [...octets, '0', '0', '0'].slice(0, 4).join('.')
  return IPv4.isValidFourPartDecimal(address) ? `${address}/${octets.length * 8}` : undefined
}

/**
 * The addresses that two networks (`10.0.0.0/8`) have in common: the smaller network, or undefined if there are none.
 */
export function narrowerNetwork(first: string, second: string): string | undefined {
  const [firstNetwork, secondNetwork] = [IPv4.parseCIDR(first), IPv4.parseCIDR(second)]
  const [wide, narrow, result] =
    firstNetwork[1] <= secondNetwork[1] ? [firstNetwork, secondNetwork, second] : [secondNetwork, firstNetwork, first]
  return narrow[0].match(wide) ? result : undefined
}

/** Why this host pattern cannot be enforced for that user, or undefined. */
export function hostProblem(user: string, host: string): string | undefined {
  if (host === ANY_HOST) return undefined
  if (networkOf(host) === undefined) {
    return 'A host is % (anywhere), an IPv4 address, its first octets and % (10.0.%), or a network (10.0.0.0/16).'
  }
  // pg_hba.conf is read line by line, and a name that begins with a slash is a regular expression there, even in
  // quotes.
  if (/[\r\n]/.test(user) || user.startsWith('/')) {
    return 'A user whose name begins with a slash or has a line break can only have the host %.'
  }
  return undefined
}
