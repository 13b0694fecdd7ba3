import { describe, expect, it } from '@jest/globals'
import { hbaText } from '../../../../lib/datastores/postgresql/server/hba.ts'

describe('pg_hba.conf', () => {
  it('pins a user before the rule for everybody, and quotes its name', () => {
    const lines = hbaText([{ name: 'al"ice', host: '10.%' }]).split('\n')
    const pinned = lines.indexOf('host all "al""ice" 10.0.0.0/8 scram-sha-256')
    expect(lines[pinned + 1]).toBe('host all "al""ice" all reject')
    expect(lines.indexOf('host all all all scram-sha-256')).toBeGreaterThan(pinned)
  })

  it('has no rule that admits anybody without a password', () => {
    const methods = hbaText([{ name: 'a', host: '10.0.0.1' }])
      .split('\n')
      .filter(line => line.startsWith('host'))
      .map(line => line.split(' ').at(-1))
    expect(new Set(methods)).toEqual(new Set(['scram-sha-256', 'reject']))
  })

  it('rejects a name or host with a line break', () => {
    expect(() => hbaText([{ name: 'a\nhost all all all trust', host: '10.0.0.1' }])).toThrow()
    expect(() => hbaText([{ name: 'a', host: '10.0.0.1 trust\n' }])).toThrow()
  })
})

describe('pg_hba.conf with networks', () => {
  it('admits users from these networks only, pinned users too', () => {
    const lines = hbaText([{ name: 'ann', host: '10.%' }], ['10.1.0.0/16', '192.0.2.7/32']).split('\n')
    expect(lines).toContain('host all "ann" 10.1.0.0/16 scram-sha-256')
    expect(lines).not.toContain('host all "ann" 10.0.0.0/8 scram-sha-256')
    expect(lines).toContain('host all "ann" all reject')
    expect(lines.filter(line => line.startsWith('host all all'))).toEqual([
      'host all all 10.1.0.0/16 scram-sha-256',
      'host all all 192.0.2.7/32 scram-sha-256',
    ])
  })

  it('rejects a pinned user whose network is outside of them', () => {
    const lines = hbaText([{ name: 'ann', host: '10.%' }], ['192.0.2.0/24']).split('\n')
    expect(lines.filter(line => line.includes('"ann"'))).toEqual(['host all "ann" all reject'])
  })
})
