const OCTET = '(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)'
const ADDRESS = new RegExp(`^${OCTET}(?:\\.${OCTET}){3}$`)
const NETWORK = new RegExp(`^(${OCTET}(?:\\.${OCTET}){3})/(3[0-2]|[12]?\\d)$`)
const PREFIX = new RegExp(`^(${OCTET}(?:\\.${OCTET}){0,2})\\.%$`)

/** The host pattern of a user who may come from anywhere. */
export const ANYWHERE = '%'

/** The network a host pattern stands for (`10.0.%` is 10.0.0.0/16); undefined if it is none, or `%`. */
export function networkOf(host: string): string | undefined {
  if (ADDRESS.test(host)) return `${host}/32`
  const network = NETWORK.exec(host)
  if (network) return host
  const octets = PREFIX.exec(host)?.[1]?.split('.')
  if (!octets) return undefined
  return `${[...octets, '0', '0', '0'].slice(0, 4).join('.')}/${octets.length * 8}`
}

const sizeOf = (network: string) => Number(network.split('/')[1])
const numberOf = (network: string) =>
  (network.split('/')[0] ?? '').split('.').reduce((sum, octet) => sum * 256 + Number(octet), 0)

/** The addresses that two networks (`10.0.0.0/8`) have in common: the smaller one, or undefined if there are none. */
export function commonOf(one: string, other: string): string | undefined {
  const [wide, narrow] = sizeOf(one) <= sizeOf(other) ? [one, other] : [other, one]
  const span = 2 ** (32 - sizeOf(wide))
  return Math.floor(numberOf(wide) / span) === Math.floor(numberOf(narrow) / span) ? narrow : undefined
}

/** Why this host pattern cannot be enforced for that user, or undefined. */
export function badHost(user: string, host: string): string | undefined {
  if (host === ANYWHERE) return undefined
  if (networkOf(host) === undefined) {
    return 'A host is % (anywhere), an IPv4 address, its first octets and % (10.0.%), or a network (10.0.0.0/16).'
  }
  // pg_hba.conf is read line by line, and takes what begins with a slash for a regular expression, even in quotes.
  if (/[\r\n]/.test(user) || user.startsWith('/')) {
    return 'A user whose name begins with a slash or has a line break can only have the host %.'
  }
  return undefined
}
