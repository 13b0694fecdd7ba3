import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { hbaText } from '../../../lib/datastores/postgresql/hba.ts'
import { commonOf } from '../../../lib/datastores/postgresql/hosts.ts'
import { badUpgrade } from '../../../lib/datastores/postgresql/upgrades.ts'

const octet = fc.integer({ min: 0, max: 255 })
const address = fc.tuple(octet, octet, octet, octet).map(parts => parts.join('.'))
const network = fc.tuple(address, fc.integer({ min: 0, max: 32 })).map(([base, size]) => `${base}/${size}`)

/** By its bits, as the definition has it. */
function holds(wide: string, one: string): boolean {
  const bits = (text: string) =>
    (text.split('/')[0] ?? '')
      .split('.')
      .map(part => Number(part).toString(2).padStart(8, '0'))
      .join('')
  const size = Number(wide.split('/')[1])
  return bits(wide).slice(0, size) === bits(one).slice(0, size)
}

describe('networks', () => {
  it('have in common exactly the addresses that are in both', () => {
    fc.assert(
      fc.property(network, network, address, (one, other, probe) => {
        const common = commonOf(one, other)
        const inBoth = holds(one, probe) && holds(other, probe)
        expect(common !== undefined && holds(common, probe)).toBe(inBoth)
        if (common) expect(holds(one, common) && holds(other, common)).toBe(true)
      }),
      { numRuns: 2_000 },
    )
  })

  it('close an instance to users from elsewhere, the pinned ones too', () => {
    const lines = hbaText([{ name: 'ann', host: '10.%' }], ['10.1.0.0/16', '192.0.2.7/32']).split('\n')
    expect(lines).toContain('host all "ann" 10.1.0.0/16 scram-sha-256')
    expect(lines).not.toContain('host all "ann" 10.0.0.0/8 scram-sha-256')
    expect(lines).toContain('host all "ann" all reject')
    expect(lines.filter(line => line.startsWith('host all all'))).toEqual([
      'host all all 10.1.0.0/16 scram-sha-256',
      'host all all 192.0.2.7/32 scram-sha-256',
    ])
  })

  it('shut out a user who may come from nowhere else', () => {
    const lines = hbaText([{ name: 'ann', host: '10.%' }], ['192.0.2.0/24']).split('\n')
    expect(lines.filter(line => line.includes('"ann"'))).toEqual(['host all "ann" all reject'])
  })
})

describe('an upgrade', () => {
  it.each([
    ['18.3', '18.4', true],
    ['18.4', '18.4', true],
    ['18.4', '18.3', false],
    ['17.10', '18.4', false],
    ['17.9', '17.10', true],
    ['17.10', '17.9', false],
  ])('from %s to %s', (from, to, fine) => {
    expect(badUpgrade(from, to) === undefined).toBe(fine)
  })
})
