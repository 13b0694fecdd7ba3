import { describe, expect, it } from '@jest/globals'
import { Busy, Taken, TooMany } from '../../../lib/identity/account.ts'
import { seedAccounts } from '../../../lib/platform/identity/accounts.ts'
import { MOST_FAILURES } from '../../../lib/platform/identity/attempts.ts'
import { MOST_CREDENTIALS } from '../../../lib/platform/identity/credentials.ts'
import { gate } from '../../../lib/platform/identity/gate.ts'
import { hashPassword, isPassword } from '../../../lib/platform/identity/passwords.ts'
import { service } from '../../identity/service.ts'
import { seededRandom } from '../../kit/random.ts'

/** Milliseconds of all threads: a hash takes some 30, however busy the machine is. */
async function cpu(work: () => Promise<void>): Promise<number> {
  const before = process.cpuUsage()
  await work()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1000
}

describe('password hashes', () => {
  it('are salted scrypt with their parameters and know their password', async () => {
    const random = seededRandom(1)
    const [one, two] = [await hashPassword('päss', random), await hashPassword('päss', random)]
    expect(one).toMatchObject({ n: 16384, r: 8, p: 1 })
    expect(one.salt).not.toBe(two.salt)
    expect(one.hash).not.toBe(two.hash)
    expect(await isPassword('päss', one)).toBe(true)
    expect(await isPassword('pass', one)).toBe(false)
    expect(await isPassword('', one)).toBe(false)
  })

  it('of other parameters still work', async () => {
    const stored = { n: 1024, r: 8, p: 2, salt: 'c2FsdA', hash: 'AAAA' }
    expect(await isPassword('x', stored)).toBe(false)
  })

  it('are computed, too, for whom does not exist', async () => {
    const hash = await hashPassword('x', seededRandom(1))
    const timed = (stored: typeof hash | undefined) =>
      cpu(async () => expect(await isPassword('y', stored)).toBe(false))
    const [known, unknown] = [await timed(hash), await timed(undefined)]
    expect(unknown).toBeGreaterThan(known / 5)
  })
})

describe('accounts', () => {
  it('are found by id and by name, without their hash', async () => {
    const { identity, demo } = await service()
    const user = await identity.accounts.user(demo.user.id)
    expect(user).toEqual({ ...demo.user, enabled: true, epoch: 1, defaultProject: demo.project.id })
    expect(await identity.accounts.userByName('demo')).toEqual(user)
    expect(await identity.accounts.projectByName('demo')).toEqual(demo.project)
    expect(await identity.accounts.roles(demo.user.id, demo.project.id)).toEqual(['member', 'reader'])
  })

  it.each(['', 'nobody', 'a/b', '#', '\0', '../x', 'x'.repeat(2000), '\ud800'])('are not found as %j', async id => {
    const { accounts, credentials } = (await service()).identity
    expect(await accounts.user(id)).toBeUndefined()
    expect(await accounts.userByName(id)).toBeUndefined()
    expect(await accounts.project(id)).toBeUndefined()
    expect(await accounts.projectByName(id)).toBeUndefined()
    expect(await accounts.roles(id, id)).toEqual([])
    expect(await accounts.projectsOf(id)).toEqual([])
    expect(await credentials.byId(id)).toBeUndefined()
    expect(await credentials.byName(id, id)).toBeUndefined()
    expect(await credentials.listOf(id)).toEqual([])
  })

  it('have names of their own', async () => {
    const { accounts } = (await service()).identity
    await expect(accounts.createUser({ name: 'demo', password: 'x' })).rejects.toThrow(Taken)
    await expect(accounts.createProject('demo')).rejects.toThrow(Taken)
  })

  it('list a user own projects only', async () => {
    const { identity, demo, alt } = await service()
    await identity.accounts.setRoles(demo.user.id, alt.project.id, ['reader'])
    const names = async (id: string) => (await identity.accounts.projectsOf(id)).map(each => each.name).sort()
    expect(await names(demo.user.id)).toEqual(['alt', 'demo'])
    expect(await names(alt.user.id)).toEqual(['alt'])
    await identity.accounts.setRoles(demo.user.id, alt.project.id, [])
    expect(await names(demo.user.id)).toEqual(['demo'])
  })

  it('list more projects than a page', async () => {
    const { accounts } = (await service()).identity
    for (let n = 0; n < 450; n++) await accounts.createProject(`p${n}`)
    expect(await accounts.projects()).toHaveLength(453)
  })

  it('are seeded once, whoever seeds and however often; a password that is there stays', async () => {
    const { identity, demo } = await service()
    const seeds = [
      { user: 'demo', password: 'other', project: 'demo', roles: ['member', 'reader'] },
      { user: 'new', password: 'x', project: 'new', roles: ['member'] },
    ]
    const runs = await Promise.all([seedAccounts(identity.accounts, seeds), seedAccounts(identity.accounts, seeds)])
    expect(runs[0].map(({ user, project }) => ({ user, project }))).toEqual(
      runs[1].map(({ user, project }) => ({ user, project })),
    )
    expect(runs.flat().filter(({ created }) => created)).toHaveLength(1)
    expect(runs[0][0]).toEqual({ ...demo, created: false })
    expect(await identity.logins.byPassword({ name: 'demo' }, 'demo-password')).toMatchObject({ epoch: 1 })
    expect(await identity.logins.byPassword({ name: 'demo' }, 'other')).toBeUndefined()
    expect(await identity.accounts.projects()).toHaveLength(4)
  })
})

describe('logins', () => {
  it('refuse a disabled user, a wrong password and an unknown user', async () => {
    const { identity, demo } = await service()
    expect(await identity.logins.byPassword(demo.user, 'demo-password')).toMatchObject(demo.user)
    expect(await identity.logins.byPassword(demo.user, 'demo-password ')).toBeUndefined()
    expect(await identity.logins.byPassword({ name: 'nobody' }, '')).toBeUndefined()
    await identity.accounts.setEnabled(demo.user.id, false)
    expect(await identity.logins.byPassword(demo.user, 'demo-password')).toBeUndefined()
  })

  it('are bounded: after ten failures not even the right password is looked at, until the minute ends', async () => {
    const { identity, demo, clock, store } = await service()
    const { byPassword } = identity.logins
    for (let n = 0; n < MOST_FAILURES; n++) {
      // By id or by name: it is the same user's count.
      const who = n % 2 ? { id: demo.user.id } : { name: 'demo' }
      expect(await byPassword(who, `wrong ${n}`)).toBeUndefined()
    }
    const spent = await cpu(async () => {
      for (let n = 0; n < 20; n++) expect(await byPassword({ name: 'demo' }, 'demo-password')).toBeUndefined()
    })
    expect(spent / 20).toBeLessThan(10)
    expect(await byPassword({ name: 'alt' }, 'alt-password')).toBeDefined()
    await clock.advance(60_000)
    expect(await byPassword({ name: 'demo' }, 'demo-password')).toBeDefined()
    await clock.advance(180_000)
    expect((await store.all('attempt', { limit: 10 })).items).toEqual([])
  })

  it('count for unknown users just so', async () => {
    const { logins } = (await service()).identity
    for (let n = 0; n < MOST_FAILURES; n++) await logins.byPassword({ name: 'nobody' }, 'x')
    const spent = await cpu(async () => {
      for (let n = 0; n < 20; n++) expect(await logins.byPassword({ name: 'nobody' }, 'x')).toBeUndefined()
    })
    expect(spent / 20).toBeLessThan(10)
  })

  it('that succeed do not count, however many at once', async () => {
    const { logins } = (await service()).identity
    const many = Array.from({ length: 15 }, () => logins.byPassword({ name: 'demo' }, 'demo-password'))
    for (const user of await Promise.all(many)) expect(user).toBeDefined()
    for (let n = 0; n < MOST_FAILURES - 1; n++) await logins.byPassword({ name: 'demo' }, 'wrong')
    expect(await logins.byPassword({ name: 'demo' }, 'demo-password')).toBeDefined()
  })

  it('are bounded for guesses at once, too', async () => {
    const { store, identity } = await service()
    const many = Array.from({ length: 60 }, () => identity.logins.byPassword({ name: 'demo' }, 'wrong'))
    await Promise.all(many)
    const [record] = (await store.all('attempt', { limit: 10 })).items
    // Ten units each: those under way when the tenth failed are all that come on top.
    expect(record?.body).toEqual({ units: expect.any(Number) })
    expect(Reflect.get(Object(record?.body), 'units')).toBeLessThanOrEqual(10 * (MOST_FAILURES + 3))
  })

  it('by an application credential are bounded and bound to its user', async () => {
    const { identity, demo, alt } = await service()
    const wanted = { user: demo.user.id, project: demo.project.id, name: 'ci', roles: ['reader'] }
    const credential = await identity.credentials.create(wanted, 'the secret')
    const login = await identity.logins.bySecret({ user: demo.user.id, name: 'ci' }, 'the secret')
    expect(login).toMatchObject({ user: demo.user, credential })
    expect(await identity.logins.bySecret({ user: alt.user.id, name: 'ci' }, 'the secret')).toBeUndefined()
    for (let n = 0; n < MOST_FAILURES; n++) await identity.logins.bySecret({ id: credential.id }, 'x')
    expect(await identity.logins.bySecret({ id: credential.id }, 'the secret')).toBeUndefined()
    // The user's password has a count of its own.
    expect(await identity.logins.byPassword({ name: 'demo' }, 'demo-password')).toBeDefined()
  })
})

describe('application credentials', () => {
  it('are bounded in number', async () => {
    const { identity, demo } = await service()
    const wanted = (name: string) => ({ user: demo.user.id, project: demo.project.id, name, roles: ['reader'] })
    await Promise.all(
      Array.from({ length: MOST_CREDENTIALS }, (_, n) => identity.credentials.create(wanted(`c${n}`), 's')),
    )
    await expect(identity.credentials.create(wanted('more'), 's')).rejects.toThrow(TooMany)
    expect(await identity.credentials.listOf(demo.user.id)).toHaveLength(MOST_CREDENTIALS)
  })

  it('are not mistaken for a new one of their name', async () => {
    const { identity, demo } = await service()
    const wanted = { user: demo.user.id, project: demo.project.id, name: 'ci', roles: ['reader'] }
    const old = await identity.credentials.create(wanted, 's')
    await expect(identity.credentials.create(wanted, 's')).rejects.toThrow(Taken)
    await identity.credentials.remove(old)
    const next = await identity.credentials.create(wanted, 's')
    expect(await identity.credentials.byId(old.id)).toBeUndefined()
    expect(await identity.credentials.byId(next.id)).toEqual(next)
    expect(await identity.credentials.byName(demo.user.id, 'ci')).toEqual(next)
  })
})

describe('gate', () => {
  it('lets only so many in at once and keeps their order', async () => {
    const enter = gate(2, 10)
    let [inside, most] = [0, 0]
    const order: number[] = []
    const work = (n: number) => async () => {
      most = Math.max(most, ++inside)
      order.push(n)
      await Promise.resolve()
      inside--
      if (n === 1) throw new Error('one')
      return n
    }
    const done = await Promise.allSettled([0, 1, 2, 3, 4].map(n => enter(work(n))))
    expect(done.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'fulfilled', 'fulfilled'])
    expect([most, order]).toEqual([2, [0, 1, 2, 3, 4]])
  })

  it('turns the rest away, and is open again afterwards', async () => {
    const enter = gate(1, 1)
    const { promise, resolve } = Promise.withResolvers<void>()
    const first = enter(() => promise)
    const second = enter(async () => 2)
    await expect(enter(async () => 3)).rejects.toThrow(Busy)
    resolve()
    await first
    expect(await second).toBe(2)
    expect(await enter(async () => 4)).toBe(4)
  })
})
