import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { userId } from '../../lib/contracts/guest/users.ts'
import { postgresqlManifest } from '../../lib/datastores/postgresql/manifest.ts'
import { Fault } from '../../lib/kit/errors.ts'
import { checkUsers, isEnforceableHost, NewUsers } from '../../lib/model/user.ts'
import { INVALID_NAMES, VALID_NAMES } from './names.ts'

const password = 'pw1'
const check = (...users: { name: string; host?: string; databases?: { name: string }[] }[]) =>
  checkUsers(
    postgresqlManifest.can,
    users.map(user => ({ password, ...user })),
  )
const parseId = (id: string) => userId(id, isEnforceableHost(postgresqlManifest.can.users))

describe('userId with isHost', () => {
  it('takes the text after the last @ as the host', () => {
    expect(parseId('ann')).toEqual({ name: 'ann' })
    expect(parseId('ann@%')).toEqual({ name: 'ann', host: '%' })
    expect(parseId('a@b.org@10.0.%')).toEqual({ name: 'a@b.org', host: '10.0.%' })
    expect(parseId('ann@10.0.0.0/16')).toEqual({ name: 'ann', host: '10.0.0.0/16' })
  })

  it('takes the full id as the name if no valid host follows', () => {
    for (const name of ['ann@example.org', '@', '@%', 'ann@', 'a@b']) expect(parseId(name)).toEqual({ name })
  })

  it('finds name and host again for every name', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), fc.constantFrom('%', '10.1.2.3', '10.%'), (name, host) => {
        expect(parseId(`${name}@${host}`)).toEqual({ name, host })
      }),
    )
  })
})

describe('checkUsers', () => {
  it('accepts every name that PostgreSQL accepts', () => {
    expect(check(...VALID_NAMES.map(name => ({ name }))).map(({ name }) => name)).toEqual(VALID_NAMES)
  })

  it.each([...INVALID_NAMES, 'pg_monitor', 'public', 'none'])('refuses the name %j', name => {
    expect(() => check({ name })).toThrow(Fault)
  })

  it('refuses a name that is given twice', () => {
    expect(() => check({ name: 'a' }, { name: 'a', host: '10.%' })).toThrow(/twice/)
  })

  it('refuses a database that is not among those of the request', () => {
    const users = [{ name: 'a', password, databases: [{ name: 'x' }] }]
    expect(() => checkUsers(postgresqlManifest.can, users, [{ name: 'y' }])).toThrow(/not among/)
    expect(checkUsers(postgresqlManifest.can, users, [{ name: 'x' }])).toHaveLength(1)
  })

  it('accepts a network as host, and refuses hosts that cannot be enforced', () => {
    expect(check({ name: 'a', host: '10.0.0.0/16' })[0]?.host).toBe('10.0.0.0/16')
    for (const host of ['', 'localhost', '10.%.1.1', '%%', '300.1.1.1'])
      expect(() => check({ name: 'a', host })).toThrow(Fault)
  })
})

describe('NewUsers', () => {
  it('accepts only passwords that a client can send', () => {
    const accepts = (text: string) => NewUsers.safeParse([{ name: 'a', password: text }]).success
    for (const text of ['!!!', '', 'a\0', 'a\udfff', 'x'.repeat(1025)]) expect(accepts(text)).toBe(false)
    for (const text of ['a', 'ü', 'päss wörd\n1', '🔑1', 'x'.repeat(1024)]) expect(accepts(text)).toBe(true)
  })

  it('accepts at most 500 users', () => {
    expect(NewUsers.safeParse(Array(501).fill({ name: 'a', password })).success).toBe(false)
  })
})
