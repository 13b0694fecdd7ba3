import { describe, expect, it } from '@jest/globals'
import { hbaText, withAgentLines } from '../../../../lib/datastores/postgresql/server/hba.ts'

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

describe('the lines for the agent in pg_hba.conf', () => {
  const AGENT = [
    'local all "os_maint","os_admin" scram-sha-256',
    'local all all reject',
    'host all "os_maint","os_admin","os_former" all reject',
  ]
  const pinned = [{ name: 'os_maint","os_admin', host: '10.0.0.1' }]

  it('come first, admit it by the socket only, and nobody else there', () => {
    expect(hbaText(pinned).split('\n').slice(1, 4)).toEqual(AGENT)
  })

  it('replace those of an earlier version, which admitted it by its address, and no others', () => {
    const earlier = [
      '# Written by Coffer; changes are lost.',
      'host all "os_maint","os_admin" 127.0.0.0/8 scram-sha-256',
      'host all "os_maint","os_admin" samehost scram-sha-256',
      'host all "os_maint","os_admin" all reject',
      ...hbaText(pinned).split('\n').slice(4),
    ].join('\n')
    expect(withAgentLines(earlier, false)).toBe(hbaText(pinned))
    const enforced = withAgentLines(earlier, true)
    expect(enforced.split('\n')[4]).toBe('hostnossl all all all reject')
    expect(withAgentLines(enforced, true)).toBe(enforced)
    expect(withAgentLines(enforced, false)).toBe(hbaText(pinned))
  })
})
