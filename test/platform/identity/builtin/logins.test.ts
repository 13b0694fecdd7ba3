import { describe, expect, it } from '@jest/globals'
import { MAX_FAILURES, MAX_USER_FAILURES } from '../../../../lib/platform/identity/builtin/login-attempts.ts'
import { service } from '../../../keystone/service.ts'
import { cpuMs } from './cpu.ts'

describe('logins', () => {
  it('refuse a disabled user, a wrong password and an unknown user', async () => {
    const { identity, demo } = await service()
    expect(await identity.logins.byPassword(demo.user, 'demo-password')).toMatchObject(demo.user)
    expect(await identity.logins.byPassword(demo.user, 'demo-password ')).toBeUndefined()
    expect(await identity.logins.byPassword({ name: 'nobody' }, '')).toBeUndefined()
    await identity.accounts.setEnabled(demo.user.id, false)
    expect(await identity.logins.byPassword(demo.user, 'demo-password')).toBeUndefined()
  })

  it('are limited: after ten failures even the right password is refused unchecked, until the minute ends', async () => {
    const { identity, demo, clock, store } = await service()
    const { byPassword } = identity.logins
    for (let n = 0; n < MAX_FAILURES; n++) {
      // By id or by name: it is the same user's count.
      const who = n % 2 ? { id: demo.user.id } : { name: 'demo' }
      expect(await byPassword(who, `wrong ${n}`)).toBeUndefined()
    }
    const spent = await cpuMs(async () => {
      for (let n = 0; n < 20; n++) expect(await byPassword({ name: 'demo' }, 'demo-password')).toBeUndefined()
    })
    expect(spent / 20).toBeLessThan(10)
    expect(await byPassword({ name: 'alt' }, 'alt-password')).toBeDefined()
    await clock.advance(60_000)
    expect(await byPassword({ name: 'demo' }, 'demo-password')).toBeDefined()
    await clock.advance(180_000)
    expect((await store.all('attempt', { limit: 10 })).items).toEqual([])
  })

  it('are limited for unknown users, too', async () => {
    const { logins } = (await service()).identity
    for (let n = 0; n < MAX_FAILURES; n++) await logins.byPassword({ name: 'nobody' }, 'x')
    const spent = await cpuMs(async () => {
      for (let n = 0; n < 20; n++) expect(await logins.byPassword({ name: 'nobody' }, 'x')).toBeUndefined()
    })
    expect(spent / 20).toBeLessThan(10)
  })

  it('do not count when they succeed, however many are concurrent', async () => {
    const { logins } = (await service()).identity
    const many = Array.from({ length: 15 }, () => logins.byPassword({ name: 'demo' }, 'demo-password'))
    for (const user of await Promise.all(many)) expect(user).toBeDefined()
    for (let n = 0; n < MAX_FAILURES - 1; n++) await logins.byPassword({ name: 'demo' }, 'wrong')
    expect(await logins.byPassword({ name: 'demo' }, 'demo-password')).toBeDefined()
  })

  it('are limited for concurrent guesses, too', async () => {
    const { store, identity } = await service()
    const many = Array.from({ length: 60 }, () => identity.logins.byPassword({ name: 'demo' }, 'wrong', '192.0.2.1'))
    await Promise.all(many)
    const counts = (await store.all('attempt', { limit: 10 })).items.map(({ body }) =>
      Reflect.get(Object(body), 'units'),
    )
    // Only attempts in progress when the tenth failed are added.
    expect(counts).toHaveLength(2)
    for (const count of counts) expect(count).toBeLessThanOrEqual(MAX_FAILURES + 3)
    for (const count of counts) expect(count).toBeGreaterThanOrEqual(MAX_FAILURES)
  })

  it('of a user from one address do not keep him out at another', async () => {
    const { identity, clock } = await service()
    const { byPassword } = identity.logins
    for (let n = 0; n < 3 * MAX_FAILURES; n++) await byPassword({ name: 'demo' }, 'wrong', '192.0.2.66')
    expect(await byPassword({ name: 'demo' }, 'demo-password', '192.0.2.66')).toBeUndefined()
    expect(await byPassword({ name: 'demo' }, 'demo-password', '192.0.2.1')).toBeDefined()
    await clock.advance(60_000)
    expect(await byPassword({ name: 'demo' }, 'demo-password', '192.0.2.66')).toBeDefined()
  })

  it('of a user are limited together, however many addresses they come from', async () => {
    const { byPassword } = (await service()).identity.logins
    for (let n = 0; n < MAX_USER_FAILURES; n++) await byPassword({ name: 'demo' }, 'wrong', `192.0.2.${n}`)
    expect(await byPassword({ name: 'demo' }, 'demo-password', '198.51.100.1')).toBeUndefined()
    expect(await byPassword({ name: 'alt' }, 'alt-password', '192.0.2.1')).toBeDefined()
  }, 30_000)

  it('from one network of IPv6 count together, as do the two forms of an address of IPv4', async () => {
    const { byPassword } = (await service()).identity.logins
    for (let n = 0; n < MAX_FAILURES; n++) await byPassword({ name: 'demo' }, 'wrong', `2001:db8::${n}`)
    expect(await byPassword({ name: 'demo' }, 'demo-password', '2001:db8:0:0:9::1')).toBeUndefined()
    expect(await byPassword({ name: 'demo' }, 'demo-password', '2001:db8:0:1::1')).toBeDefined()
    for (let n = 0; n < MAX_FAILURES; n++) await byPassword({ name: 'alt' }, 'wrong', '::ffff:192.0.2.1')
    expect(await byPassword({ name: 'alt' }, 'alt-password', '192.0.2.1')).toBeUndefined()
    expect(await byPassword({ name: 'alt' }, 'alt-password', '::ffff:192.0.2.2')).toBeDefined()
  })

  it('of made-up names take as long as those that are counted in the store', async () => {
    const { store, identity, clock } = await service()
    const transact = store.transact
    store.transact = async changes => {
      await transact(changes)
      await clock.advance(7)
    }
    const sleeps: number[] = []
    clock.sleep = async ms => void sleeps.push(ms)
    await identity.logins.byPassword({ name: 'demo' }, 'wrong', '192.0.2.1')
    expect(sleeps).toEqual([])
    await identity.logins.byPassword({ name: 'nobody' }, 'wrong', '192.0.2.1')
    expect(sleeps).toEqual([7])
  })

  it('of made-up names, and those that succeed, write nothing', async () => {
    const { store, identity, demo } = await service()
    const { byPassword, bySecret } = identity.logins
    const transact = store.transact
    let writes = 0
    store.transact = changes => {
      writes++
      return transact(changes)
    }
    for (let n = 0; n < 12; n++) {
      await byPassword({ name: `nobody ${n}` }, 'x', '192.0.2.1')
      await byPassword({ id: `${n}`.padStart(32, '0') }, 'x', '192.0.2.1')
      await bySecret({ id: `${n}`.padStart(32, '0') }, 'x', '192.0.2.1')
    }
    await byPassword(demo.user, 'demo-password', '192.0.2.1')
    expect(writes).toBe(0)
    await byPassword(demo.user, 'wrong', '192.0.2.1')
    expect(writes).toBe(1)
  })

  it('by an application credential are limited and belong to its user', async () => {
    const { identity, demo, alt } = await service()
    const spec = { user: demo.user.id, project: demo.project.id, name: 'ci', roles: ['reader'] }
    const credential = await identity.credentials.create(spec, 'the secret')
    const login = await identity.logins.bySecret({ user: demo.user.id, name: 'ci' }, 'the secret')
    expect(login).toMatchObject({ user: demo.user, credential })
    expect(await identity.logins.bySecret({ user: alt.user.id, name: 'ci' }, 'the secret')).toBeUndefined()
    for (let n = 0; n < MAX_FAILURES; n++) await identity.logins.bySecret({ id: credential.id }, 'x')
    expect(await identity.logins.bySecret({ id: credential.id }, 'the secret')).toBeUndefined()
    // The user's password has a count of its own.
    expect(await identity.logins.byPassword({ name: 'demo' }, 'demo-password')).toBeDefined()
  })
})
