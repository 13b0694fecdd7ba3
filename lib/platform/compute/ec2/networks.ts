/** An IPv4 network as AWS writes it: with a length, and without bits of hosts. */
export function networkOf(cidr: string): string {
  const [address = '', bits = '32'] = cidr.split('/')
  const length = Number(bits)
  const value = address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0)
  const size = 2 ** (32 - length)
  const first = Math.floor(value / size) * size
  const parts = [24, 16, 8, 0].map(shift => Math.floor(first / 2 ** shift) % 256)
  return `${parts.join('.')}/${length}`
}

/** Who is let in: the networks named; none named: everybody at a public address, else the private network alone. */
export function admitted(
  access: { is_public?: boolean | undefined; allowed_cidrs?: string[] | undefined } | undefined,
  own: string[],
): string[] {
  const named = access?.allowed_cidrs ?? []
  const wanted = named.length > 0 ? named : access?.is_public ? ['0.0.0.0/0'] : own
  return [...new Set(wanted.map(networkOf))].sort()
}
