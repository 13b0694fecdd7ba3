import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { agentCommands, guestClient } from '../../lib/agents/agent.ts'
import { updateInstance } from '../../lib/model/instance.ts'
import type { Platform } from '../../lib/platform/platform.ts'
import { NO_FAULTS } from '../sim/bus.ts'
import { World } from '../sim/world.ts'
import { deleteInstance, expectNothingLeft, PROJECT, scenarios, theInstance } from './scenarios.ts'

const percent = fc.integer({ min: 0, max: 20 })
const anyFaults = fc.record({ lost: percent, repeated: percent, delayed: percent, flipped: percent, cut: percent })
const USERS = ['ann2', 'bob', 'cem', 'dora', 'eli']

const agentOf = (platform: Platform, instance: string) =>
  guestClient(platform, { project: PROJECT, instance, requestId: 'req-2' })

async function allDone(world: World, count: number): Promise<boolean> {
  const rows = (await agentCommands.all(world.store, { limit: 100 })).items
  return rows.length === count && rows.every(({ body }) => body.status === 'done')
}

describe('messages that get lost, repeated, delayed or damaged', () => {
  it('change when an operation ends, never how', async () => {
    await fc.assert(
      fc.asyncProperty(anyFaults, fc.integer(), async (faults, seed) => {
        const world = await new World(seed).open()
        world.faults = faults
        await world.request(platform => scenarios.create_instance.begin(platform))
        await world.until('instance', () => scenarios.create_instance.done(world))
        const { id = '' } = (await theInstance(world)) ?? {}
        for (const name of USERS) {
          await agentOf(world.platform, id).create_user({ users: [{ name, password: 'pw1' }] })
          await agentOf(world.platform, id).delete_user({ name })
        }
        await world.until('commands', () => allDone(world, 1 + 2 * USERS.length))
        const [guest] = world.machine.servers.values()
        // Each once, in the order of the requests.
        const expected = USERS.flatMap(name => [`create_user ${name}`, `delete_user ${name}`])
        expect(guest?.driver.executed).toEqual(['prepare', 'create_database cart', 'create_user ann', ...expected])
        await world.request(deleteInstance)
        await world.until('end', async () => (await theInstance(world)) === undefined)
        world.faults = NO_FAULTS
        await expectNothingLeft(world)
      }),
      { numRuns: 40 },
    )
  }, 120_000)

  it('do no harm together with restarts of control plane and agents', async () => {
    await fc.assert(
      fc.asyncProperty(
        anyFaults,
        fc.integer(),
        fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 4 }),
        async (faults, seed, deaths) => {
          const world = await new World(seed).open()
          world.faults = faults
          await world.request(platform => scenarios.create_instance.begin(platform))
          for (const effects of deaths) {
            const crashEffect = world.effects + effects
            const end = world.clock.now() + 20_000
            await world.until('effect', async () => world.effects >= crashEffect || world.clock.now() > end)
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

  it('lose no command whose agent dies, or cannot write, before it has noted its end', async () => {
    await fc.assert(
      fc.asyncProperty(anyFaults, fc.integer(), fc.integer({ min: 0, max: 2 }), async (faults, seed, times) => {
        const world = await new World(seed).open()
        await world.request(platform => scenarios.create_instance.begin(platform))
        await world.until('instance', () => scenarios.create_instance.done(world))
        const { id = '' } = (await theInstance(world)) ?? {}
        const failures = new Map<number, number>()
        world.machine.failsToWrite = number => {
          failures.set(number, (failures.get(number) ?? 0) + 1)
          return (failures.get(number) ?? 0) <= times
        }
        world.faults = faults
        const ann = { name: 'ann' }
        await agentOf(world.platform, id).create_database({ databases: [{ name: 'stock' }] })
        await agentOf(world.platform, id).revoke_access({ ...ann, database: 'cart' })
        await agentOf(world.platform, id).delete_user(ann)
        await agentOf(world.platform, id).delete_database({ name: 'stock' })
        await world.until('commands', () => allDone(world, 5))
        const [guest] = world.machine.servers.values()
        expect((await guest?.driver.list_users({ limit: 5 }))?.items).toEqual([])
        expect((await guest?.driver.list_databases({ limit: 5 }))?.items).toEqual([{ name: 'cart' }])
      }),
      { numRuns: 20 },
    )
  }, 120_000)

  it.each(['restart', 'reboot'] as const)(
    'do not keep a %s from starting a database that was given up',
    async name => {
      await fc.assert(
        fc.asyncProperty(anyFaults, fc.integer(), async (faults, seed) => {
          const world = await new World(seed).open()
          await scenarios[name].before(world)
          const { id = '' } = (await theInstance(world)) ?? {}
          await updateInstance(world.platform, PROJECT, id, instance => {
            const agentReport = instance.agentReport && {
              ...instance.agentReport,
              status: 'failed' as const,
              message: 'given up',
            }
            return { ...instance, ...(agentReport && { agentReport }) }
          })
          // That report is older than the operation.
          await world.clock.advance(1_000)
          world.faults = faults
          await world.request(platform => scenarios[name].begin(platform))
          await world.until('end', async () => (await theInstance(world))?.operation === undefined)
          expect(await theInstance(world)).toMatchObject({ agentReport: { status: 'healthy' } })
          expect((await theInstance(world))?.fault).toBeUndefined()
        }),
        { numRuns: 15 },
      )
    },
    120_000,
  )
})

describe('agent commands and queries:', () => {
  it('a command on a user or database that never existed is refused, also after its agent died during it', async () => {
    const world = await new World().open()
    await world.request(platform => scenarios.create_instance.begin(platform))
    await world.until('instance', () => scenarios.create_instance.done(world))
    const { id = '' } = (await theInstance(world)) ?? {}
    const lostEnds = new Set([2, 3, 4, 5])
    world.machine.failsToWrite = number => lostEnds.delete(number)
    await agentOf(world.platform, id).delete_user({ name: 'nobody' })
    const nowhere = { name: 'ann', database: 'nowhere' }
    for (const input of [{ ...nowhere, name: 'nobody' }, nowhere])
      await agentOf(world.platform, id).revoke_access(input)
    await agentOf(world.platform, id).delete_database({ name: 'nowhere' })
    const commands = async () => (await agentCommands.all(world.store, { limit: 10 })).items.map(({ body }) => body)
    await world.until('end', async () => (await commands()).every(({ status }) => status !== 'issued'))
    const refused = (await commands()).filter(({ method }) => method !== 'prepare')
    expect(lostEnds.size).toBe(0)
    expect(refused.map(({ method, status, error }) => [method, status, error?.code])).toEqual([
      ['delete_user', 'failed', 404],
      ['revoke_access', 'failed', 404],
      ['revoke_access', 'failed', 404],
      ['delete_database', 'failed', 404],
    ])
  })

  it('a query whose answer is lost ends with a timeout, and leaves no record', async () => {
    const world = await new World().open()
    await world.request(platform => scenarios.create_instance.begin(platform))
    await world.until('instance', () => scenarios.create_instance.done(world))
    const { id = '' } = (await theInstance(world)) ?? {}
    world.faults = { ...NO_FAULTS, lost: 100 }
    const query = agentOf(world.platform, id)
      .list_users({ limit: 5 })
      .then(
        () => 'answered',
        (error: { status: number }) => error.status,
      )
    let outcome: unknown
    void query.then(result => {
      outcome = result
    })
    await world.until('end of the query', async () => outcome !== undefined, 60_000)
    expect(outcome).toBe(504)
    expect((await world.store.all('answer', { limit: 1 })).items).toEqual([])
  })

  it.each([
    ['handed over by a conductor of the same process', false],
    ['left in the store by a conductor in another process', true],
  ])('a query is answered by what is %s, and leaves no record', async (_how, separateProcesses) => {
    const world = await new World(1, { separateProcesses }).open()
    await world.request(platform => scenarios.create_instance.begin(platform))
    await world.until('instance', () => scenarios.create_instance.done(world))
    const { id = '' } = (await theInstance(world)) ?? {}
    let users: unknown
    void agentOf(world.platform, id)
      .list_users({ limit: 5 })
      .then(page => {
        users = page
      })
    await world.until('answer', async () => users !== undefined, 60_000)
    expect(users).toEqual({ items: [{ name: 'ann', host: '%', databases: [{ name: 'cart' }] }] })
    expect(world.writtenKinds.has('answer')).toBe(separateProcesses)
    expect((await world.store.all('answer', { limit: 1 })).items).toEqual([])
  })
})
