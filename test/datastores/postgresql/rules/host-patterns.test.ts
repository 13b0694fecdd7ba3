import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { postgresqlManifest } from '../../../../lib/datastores/postgresql/manifest.ts'
import { narrowerNetwork, networkOf } from '../../../../lib/datastores/postgresql/rules/host-patterns.ts'

const { hostProblem } = postgresqlManifest.can.users

const octet = fc.integer({ min: 0, max: 255 })
const address = fc.tuple(octet, octet, octet, octet).map(parts => parts.join('.'))
const network = fc.tuple(address, fc.integer({ min: 0, max: 32 })).map(([base, size]) => `${base}/${size}`)

/** Whether a network contains an address or another network, by comparing their bits. */
function contains(wide: string, narrow: string): boolean {
  const bits = (text: string) =>
    (text.split('/')[0] ?? '')
      .split('.')
      .map(part => Number(part).toString(2).padStart(8, '0'))
      .join('')
  const size = Number(wide.split('/')[1])
  return bits(wide).slice(0, size) === bits(narrow).slice(0, size)
}

describe('hosts', () => {
  it.each([
    ['10.0.0.5', '10.0.0.5/32'],
    ['10.%', '10.0.0.0/8'],
    ['10.0.%', '10.0.0.0/16'],
    ['192.168.7.%', '192.168.7.0/24'],
    ['172.16.0.0/12', '172.16.0.0/12'],
    ['0.0.0.0/0', '0.0.0.0/0'],
  ])('%s stands for the network %s', (host, network) => {
    expect(networkOf(host)).toBe(network)
    expect(hostProblem('alice', host)).toBeUndefined()
  })

  it.each(['', '%%', '10.0%', '10.%.1.1', '10.0.0.0.%', '256.1.1.1', '010.0.0.1', '10.0.0.0/33', 'localhost', '::1'])(
    'refuses %j',
    host => {
      expect(hostProblem('alice', host)).toEqual(expect.any(String))
    },
  )

  it.each(['/regex', 'a\nhost all all all trust', 'a\rb'])(
    'refuses a host for a user called %j, whom pg_hba.conf cannot name',
    user => {
      expect(hostProblem(user, '10.0.0.1')).toEqual(expect.any(String))
      expect(hostProblem(user, '%')).toBeUndefined()
    },
  )
})

describe('narrowerNetwork', () => {
  it('contains exactly the addresses that are in both networks', () => {
    fc.assert(
      fc.property(network, network, address, (first, second, probe) => {
        const common = narrowerNetwork(first, second)
        const inBoth = contains(first, probe) && contains(second, probe)
        expect(common !== undefined && contains(common, probe)).toBe(inBoth)
        if (common) expect(contains(first, common) && contains(second, common)).toBe(true)
      }),
      { numRuns: 2_000 },
    )
  })
})
