import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { commands, guestClient } from '../../lib/guests/guest.ts'
import { changeInstance } from '../../lib/instances/instance.ts'
import type { Platform } from '../../lib/platform/platform.ts'
import { NO_FAULTS } from '../sim/bus.ts'
import { World } from '../sim/world.ts'
import { expectNothingLeft, PROJECT, remove, scenarios, theInstance } from './scenarios.ts'

const share = fc.integer({ min: 0, max: 20 })
const faults = fc.record({ lost: share, repeated: share, delayed: share, flipped: share, cut: share })
const WISHES = ['ann2', 'bob', 'cem', 'dora', 'eli']

const asked = (platform: Platform, instance: string) =>
  guestClient(platform, { project: PROJECT, instance, requestId: 'req-2' })

async function allDone(world: World, count: number): Promise<boolean> {
  const rows = (await commands.all(world.store, { limit: 100 })).items
  return rows.length === count && rows.every(({ body }) => body.status === 'done')
}

describe('whatever happens to messages', () => {
  it('changes never the outcome, only its time', async () => {
    await fc.assert(
      fc.asyncProperty(faults, fc.integer(), async (chosen, seed) => {
        const world = await new World(seed).open()
        world.faults = chosen
        await world.request(platform => scenarios.create_instance.begin(platform))
        await world.until('instance', () => scenarios.create_instance.done(world))
        const { id = '' } = (await theInstance(world)) ?? {}
        for (const name of WISHES) {
          await asked(world.platform, id).create_user({ users: [{ name, password: 'pw1' }] })
          await asked(world.platform, id).delete_user({ name })
        }
        await world.until('commands', () => allDone(world, 1 + 2 * WISHES.length))
        const [guest] = world.machine.servers.values()
        // Each once, and in the order in which they were asked for.
        const expected = WISHES.flatMap(name => [`create_user ${name}`, `delete_user ${name}`])
        expect(guest?.driver.executed).toEqual(['prepare', 'create_database cart', 'create_user ann', ...expected])
        await world.request(remove)
        await world.until('end', async () => (await theInstance(world)) === undefined)
        world.faults = NO_FAULTS
        await expectNothingLeft(world)
      }),
      { numRuns: 40 },
    )
  }, 120_000)

  it('survives restarts of control plane and agents in between', async () => {
    await fc.assert(
      fc.asyncProperty(
        faults,
        fc.integer(),
        fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 4 }),
        async (chosen, seed, deaths) => {
          const world = await new World(seed).open()
          world.faults = chosen
          await world.request(platform => scenarios.create_instance.begin(platform))
          for (const after of deaths) {
            const moment = world.effects + after
            const end = world.clock.now() + 20_000
            await world.until('moment', async () => world.effects >= moment || world.clock.now() > end)
            world.restart()
            await world.machine.restartAgents()
          }
          await world.until('instance', () => scenarios.create_instance.done(world))
          expect([...world.machine.servers.values()].map(({ driver }) => driver.executed)).toEqual([
            ['prepare', 'create_database cart', 'create_user ann'],
          ])
        },
      ),
      { numRuns: 40 },
    )
  }, 120_000)

  it('a command is done although its agent dies, or cannot write, before it has noted that', async () => {
    await fc.assert(
      fc.asyncProperty(faults, fc.integer(), fc.integer({ min: 0, max: 2 }), async (chosen, seed, times) => {
        const world = await new World(seed).open()
        await world.request(platform => scenarios.create_instance.begin(platform))
        await world.until('instance', () => scenarios.create_instance.done(world))
        const { id = '' } = (await theInstance(world)) ?? {}
        const failures = new Map<number, number>()
        world.machine.unwritten = number => {
          failures.set(number, (failures.get(number) ?? 0) + 1)
          return (failures.get(number) ?? 0) <= times
        }
        world.faults = chosen
        const ann = { name: 'ann' }
        await asked(world.platform, id).create_database({ databases: [{ name: 'more' }] })
        await asked(world.platform, id).revoke_access({ ...ann, database: 'cart' })
        await asked(world.platform, id).delete_user(ann)
        await asked(world.platform, id).delete_database({ name: 'more' })
        await world.until('commands', () => allDone(world, 5))
        const [guest] = world.machine.servers.values()
        expect((await guest?.driver.list_users({ limit: 5 }))?.items).toEqual([])
        expect((await guest?.driver.list_databases({ limit: 5 }))?.items).toEqual([{ name: 'cart' }])
      }),
      { numRuns: 20 },
    )
  }, 120_000)

  it.each(['restart', 'reboot'] as const)(
    'a database that was given up is brought back by a %s',
    async name => {
      await fc.assert(
        fc.asyncProperty(faults, fc.integer(), async (chosen, seed) => {
          const world = await new World(seed).open()
          await scenarios[name].before(world)
          const { id = '' } = (await theInstance(world)) ?? {}
          await changeInstance(world.platform, PROJECT, id, instance => {
            const service = instance.service && { ...instance.service, status: 'failed' as const, message: 'given up' }
            return { ...instance, ...(service && { service }) }
          })
          // Its agent said so before anybody asked for this.
          await world.clock.advance(1_000)
          world.faults = chosen
          await world.request(platform => scenarios[name].begin(platform))
          await world.until('end', async () => (await theInstance(world))?.operation === undefined)
          expect(await theInstance(world)).toMatchObject({ task: 'NONE', service: { status: 'healthy' } })
          expect((await theInstance(world))?.fault).toBeUndefined()
        }),
        { numRuns: 15 },
      )
    },
    120_000,
  )

  it('a wish for what never was is refused, also where its agent died over it', async () => {
    const world = await new World().open()
    await world.request(platform => scenarios.create_instance.begin(platform))
    await world.until('instance', () => scenarios.create_instance.done(world))
    const { id = '' } = (await theInstance(world)) ?? {}
    const unwritten = new Set([2, 3, 4, 5])
    world.machine.unwritten = number => unwritten.delete(number)
    await asked(world.platform, id).delete_user({ name: 'nobody' })
    const nowhere = { name: 'ann', database: 'nowhere' }
    for (const wish of [{ ...nowhere, name: 'nobody' }, nowhere]) await asked(world.platform, id).revoke_access(wish)
    await asked(world.platform, id).delete_database({ name: 'nowhere' })
    const ended = async () => (await commands.all(world.store, { limit: 10 })).items.map(({ body }) => body)
    await world.until('end', async () => (await ended()).every(({ status }) => status !== 'issued'))
    const refused = (await ended()).filter(({ method }) => method !== 'prepare')
    expect(unwritten.size).toBe(0)
    expect(refused.map(({ method, status, error }) => [method, status, error?.code])).toEqual([
      ['delete_user', 'failed', 404],
      ['revoke_access', 'failed', 404],
      ['revoke_access', 'failed', 404],
      ['delete_database', 'failed', 404],
    ])
  })

  it('an answer that is lost ends the question, and leaves nothing', async () => {
    const world = await new World().open()
    await world.request(platform => scenarios.create_instance.begin(platform))
    await world.until('instance', () => scenarios.create_instance.done(world))
    const { id = '' } = (await theInstance(world)) ?? {}
    world.faults = { ...NO_FAULTS, lost: 100 }
    const question = asked(world.platform, id)
      .list_users({ limit: 5 })
      .then(
        () => 'answered',
        (error: { status: number }) => error.status,
      )
    let ended: unknown
    void question.then(how => {
      ended = how
    })
    await world.until('end of the question', async () => ended !== undefined, 60_000)
    expect(ended).toBe(504)
    expect((await world.store.all('answer', { limit: 1 })).items).toEqual([])
  })

  it.each([
    ['handed over by a conductor of the same process', false],
    ['left in the store by one of another', true],
  ])('a question is answered by what is %s, and leaves nothing', async (_how, apart) => {
    const world = await new World(1, { apart }).open()
    await world.request(platform => scenarios.create_instance.begin(platform))
    await world.until('instance', () => scenarios.create_instance.done(world))
    const { id = '' } = (await theInstance(world)) ?? {}
    let users: unknown
    void asked(world.platform, id)
      .list_users({ limit: 5 })
      .then(page => {
        users = page
      })
    await world.until('answer', async () => users !== undefined, 60_000)
    expect(users).toEqual({ items: [{ name: 'ann', host: '%', databases: [{ name: 'cart' }] }] })
    expect(world.written.has('answer')).toBe(apart)
    expect((await world.store.all('answer', { limit: 1 })).items).toEqual([])
  })
})
