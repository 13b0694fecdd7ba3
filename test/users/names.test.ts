import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { postgresql } from '../../lib/datastores/postgresql/manifest.ts'
import { Fault } from '../../lib/kit/errors.ts'
import { checkedDatabases, checkedUsers, isHost, NewUsers } from '../../lib/users/names.ts'
import { userId } from '../../lib/users/user.ts'

const password = 'pw1'
const users = (...wanted: { name: string; host?: string; databases?: { name: string }[] }[]) =>
  checkedUsers(
    postgresql,
    wanted.map(user => ({ password, ...user })),
  )
const idOf = (id: string) => userId(id, isHost(postgresql))

describe('the id of a user', () => {
  it('has the host after the last @', () => {
    expect(idOf('ann')).toEqual({ name: 'ann' })
    expect(idOf('ann@%')).toEqual({ name: 'ann', host: '%' })
    expect(idOf('a@b.org@10.0.%')).toEqual({ name: 'a@b.org', host: '10.0.%' })
    expect(idOf('ann@10.0.0.0/16')).toEqual({ name: 'ann', host: '10.0.0.0/16' })
  })

  it('is all name where no host follows', () => {
    for (const name of ['ann@example.org', '@', '@%', 'ann@', 'a@b']) expect(idOf(name)).toEqual({ name })
  })

  it('with a host in it names any user', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), fc.constantFrom('%', '10.1.2.3', '10.%'), (name, host) => {
        expect(idOf(`${name}@${host}`)).toEqual({ name, host })
      }),
    )
  })
})

describe('the users and databases of a request', () => {
  it('take what PostgreSQL takes', () => {
    const names = ['-rf', 'a"b', "a'; DROP", 'line\nbreak', '🐘', 'a/b', '50%', 'x.json', '..', ' ', 'ü'.repeat(31)]
    expect(users(...names.map(name => ({ name }))).map(({ name }) => name)).toEqual(names)
    expect(
      checkedDatabases(
        postgresql,
        names.map(name => ({ name })),
      ),
    ).toEqual(names.map(name => ({ name })))
  })

  it('are refused with 400 where it would not', () => {
    const bad = ['', 'a\0b', '\ud800', 'x'.repeat(64), 'ü'.repeat(32), 'postgres', 'os_admin']
    for (const name of bad) {
      expect(() => users({ name })).toThrow(Fault)
      expect(() => checkedDatabases(postgresql, [{ name }])).toThrow(Fault)
    }
    for (const name of ['pg_monitor', 'public', 'none']) expect(() => users({ name })).toThrow(Fault)
  })

  it('are refused when given twice, or with a database that is not among them', () => {
    expect(() => users({ name: 'a' }, { name: 'a', host: '10.%' })).toThrow(/twice/)
    expect(() => checkedDatabases(postgresql, [{ name: 'a' }, { name: 'a' }])).toThrow(/twice/)
    const asks = [{ name: 'a', password, databases: [{ name: 'x' }] }]
    expect(() => checkedUsers(postgresql, asks, [{ name: 'y' }])).toThrow(/not among/)
    expect(checkedUsers(postgresql, asks, [{ name: 'x' }])).toHaveLength(1)
  })

  it('take a network as a host, and no host that cannot be enforced', () => {
    expect(users({ name: 'a', host: '10.0.0.0/16' })[0]?.host).toBe('10.0.0.0/16')
    for (const host of ['', 'localhost', '10.%.1.1', '%%', '300.1.1.1'])
      expect(() => users({ name: 'a', host })).toThrow(Fault)
  })

  it('have passwords that a client could send', () => {
    const takes = (text: string) => NewUsers.safeParse([{ name: 'a', password: text }]).success
    for (const text of ['!!!', '', 'a\0', 'a\udfff', 'x'.repeat(1025)]) expect(takes(text)).toBe(false)
    for (const text of ['a', 'ü', 'päss wörd\n1', '🔑1', 'x'.repeat(1024)]) expect(takes(text)).toBe(true)
  })

  it('are at most 500', () => {
    expect(NewUsers.safeParse(Array(501).fill({ name: 'a', password })).success).toBe(false)
  })
})
