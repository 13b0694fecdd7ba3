import { describe, expect, it } from '@jest/globals'
import { cancelCommands } from '../../lib/guests/cancel.ts'
import { commands, guestClient } from '../../lib/guests/guest.ts'
import { requestCreate } from '../../lib/instances/create.ts'
import { CreateBody } from '../../lib/instances/create-body.ts'
import { sagas } from '../../lib/instances/index.ts'
import { statusOf } from '../../lib/instances/instance.ts'
import { Permanent } from '../../lib/kit/errors.ts'
import { SagaRunner } from '../../lib/kit/saga/runner.ts'
import { isOver, type Saga, type SagaRecord } from '../../lib/kit/saga/saga.ts'
import { operationView } from '../../lib/operations/operation.ts'
import type { Platform } from '../../lib/platform/platform.ts'
import { silentLog } from '../kit/random.ts'
import { NO_FAULTS } from '../sim/bus.ts'
import { World } from '../sim/world.ts'
import { expectErased, expectNothingLeft, PROJECT, remove, scenarios, theInstance, usedQuota } from './scenarios.ts'
import { operationId, recordOf, steered } from './steering.ts'

type Name = keyof typeof sagas
const MINUTE = 60_000

const create = (platform: Platform) => {
  const known = { project: PROJECT, user: 'u1', admin: false, requestId: 'req-1', base: '', query: {}, params: {} }
  const body = CreateBody.parse({ instance: { name: 'shop', flavorRef: 1, volume: { size: 1 } } })
  return requestCreate({ ...known, deps: platform, method: 'POST', body, log: silentLog })
}

/** Has a step of a saga do this before its own work. */
function tampered(world: World, name: Name, step: string, first: () => void): void {
  const saga: Saga<unknown, Platform> = sagas[name]
  const steps = saga.steps.map(one => {
    if (one.name !== step) return one
    const work: typeof one.do = async run => {
      first()
      await one.do?.(run)
    }
    return { ...one, do: work }
  })
  world.runWith(platform => {
    const all: Record<string, Saga<unknown, Platform>> = { ...sagas, [name]: { ...saga, steps } }
    const turned = (record: SagaRecord) => cancelCommands(platform, record)
    return new SagaRunner({ ...platform, deps: platform, sagas: all, leaseMs: 90_000, turned })
  })
}

async function failedCreate(world: World, begin: (platform: Platform) => Promise<unknown>): Promise<string> {
  let broken = true
  tampered(world, 'create_instance', 'prepared', () => {
    if (broken) throw new Permanent('for good')
  })
  await world.request(begin)
  const id = await operationId(world, 'create_instance')
  await world.until('failure', async () => isOver(await recordOf(world, id)))
  broken = false
  return id
}

async function isActive(world: World): Promise<boolean> {
  const instance = await theInstance(world)
  return instance !== undefined && statusOf(instance) === 'ACTIVE' && instance.service?.status === 'healthy'
}

describe('a retry of a failed create', () => {
  it('begins it again on a generation of its own, with its quota taken again', async () => {
    const world = await new World().open()
    const id = await failedCreate(world, create)
    expect(await usedQuota(world)).toEqual({ instances: 1, ram: 0, volumes: 0 })
    expect(await world.request(platform => steered(platform, 'retry', id))).toEqual([202, ''])
    await world.until('instance', () => isActive(world), MINUTE)
    expect(await usedQuota(world)).toEqual({ instances: 1, ram: 512, volumes: 1 })
    const instance = await theInstance(world)
    expect([instance?.generation, instance?.fault, instance?.operation, instance?.gaveBack]).toEqual([2])
    expect([...world.machine.servers.keys()]).toEqual([`server-${instance?.id}-2`])
    // The one that failed is history; the new one is what ended well.
    expect((await recordOf(world, id)).status).toBe('FAILED')
    expect(await steered(world.platform, 'retry', id)).toEqual([409, expect.stringContaining('cannot be begun again')])
    await world.request(remove)
    await world.until('end', async () => (await theInstance(world)) === undefined)
    await expectNothingLeft(world)
  })

  it('is refused once the passwords in its request are erased', async () => {
    const world = await new World().open()
    const id = await failedCreate(world, platform => scenarios.create_instance.begin(platform))
    const refused = await steered(world.platform, 'retry', id)
    expect(refused).toEqual([409, expect.stringContaining('were erased')])
    expect(await usedQuota(world)).toEqual({ instances: 1, ram: 0, volumes: 0 })
  })

  it('is refused over the quota, and changes nothing then', async () => {
    const world = await new World().open()
    const id = await failedCreate(world, create)
    const key = { project: PROJECT, id: 'quota#volumes' }
    await world.store.transact([{ op: 'add', key, field: 'used', by: 40 }])
    expect((await steered(world.platform, 'retry', id))[0]).toBe(413)
    expect((await theInstance(world))?.generation).toBe(1)
  })

  it('is refused for one that ended well', async () => {
    const world = await new World().open()
    await world.request(create)
    await world.until('instance', () => isActive(world))
    const id = await operationId(world, 'create_instance')
    expect(await steered(world.platform, 'retry', id)).toEqual([409, expect.stringContaining('ended well')])
  })
})

describe('a retry of a waiting operation', () => {
  it('has it looked at at once, with its tries counted anew', async () => {
    const world = await new World().open()
    let broken = true
    tampered(world, 'create_instance', 'server', () => {
      if (broken) throw new Error('for now')
    })
    await world.request(create)
    const id = await operationId(world, 'create_instance')
    await world.until('many tries', async () => (await recordOf(world, id)).tries >= 9)
    broken = false
    const asked = world.clock.now()
    expect(await world.request(platform => steered(platform, 'retry', id))).toEqual([202, ''])
    await world.until('instance', () => isActive(world), 1_000)
    expect(world.clock.now() - asked).toBeLessThan(1_000)
  })

  it('which only runs forward needs none to be tried on, past all tries and its deadline', async () => {
    const world = await new World().open()
    await world.request(create)
    await world.until('instance', () => isActive(world))
    let left = 25
    tampered(world, 'delete_instance', 'server', () => {
      if (left-- > 0) throw new Error('for now')
    })
    await world.request(remove)
    const id = await operationId(world, 'delete_instance')
    await world.until('parking', async () => (await recordOf(world, id)).parked === true)
    await world.until('end', async () => (await theInstance(world)) === undefined, 120 * MINUTE)
    await expectNothingLeft(world)
  })
})

describe('a cancel', () => {
  it('while the agent has not been reached yet cancels its command', async () => {
    const world = await new World().open()
    tampered(world, 'create_instance', 'prepared', () => {
      world.faults = { ...NO_FAULTS, lost: 100 }
    })
    await world.request(platform => scenarios.create_instance.begin(platform))
    const id = await operationId(world, 'create_instance')
    await world.until('command', async () => (await commands.all(world.store, { limit: 1 })).items.length > 0)
    expect((await steered(world.platform, 'cancel', id))[0]).toBe(202)
    world.faults = NO_FAULTS
    await world.until('end', async () => isOver(await recordOf(world, id)))
    const [row] = (await commands.all(world.store, { limit: 9 })).items
    expect(['cancelled', 'failed']).toContain(row?.body.status)
    await expectErased(world)
  })

  it('at the very last moment still turns it round', async () => {
    const world = await new World().open()
    let told: Promise<[number, string]> | undefined
    const saga: Saga<unknown, Platform> = sagas.create_instance
    const settled: typeof saga.settled = async (run, outcome) => {
      const changes = await saga.settled?.(run, outcome)
      told ??= steered(world.platform, 'cancel', run.id)
      await told
      return changes ?? []
    }
    world.runWith(platform => {
      const all = { ...sagas, create_instance: { ...saga, settled } }
      return new SagaRunner({ ...platform, deps: platform, sagas: all, leaseMs: 90_000 })
    })
    await world.request(create)
    const id = await operationId(world, 'create_instance')
    await world.until('end', async () => isOver(await recordOf(world, id)))
    expect([(await told)?.[0], (await recordOf(world, id)).status]).toEqual([202, 'CANCELLED'])
    expect(await usedQuota(world)).toEqual({ instances: 1, ram: 0, volumes: 0 })
    expect(await scenarios.create_instance.failed?.(world)).toBe(true)
  })
})

it('what has turned round is told once, so that what its undo asks of the agent is not cancelled', async () => {
  const world = await new World().open()
  let [told, left] = [0, 3]
  const saga: Saga<unknown, Platform> = sagas.create_instance
  const steps = saga.steps.map(step => ({
    ...step,
    undone: async (run: Parameters<NonNullable<typeof step.undone>>[0]) =>
      left-- <= 0 && (step.undone === undefined || (await step.undone(run))),
  }))
  world.runWith(platform => {
    const all = { ...sagas, create_instance: { ...saga, steps } }
    const turned = async () => {
      told += 1
    }
    return new SagaRunner({ ...platform, deps: platform, sagas: all, leaseMs: 90_000, turned })
  })
  await world.request(create)
  const id = await operationId(world, 'create_instance')
  await world.until('server', async () => (await recordOf(world, id)).step === 1)
  expect((await steered(world.platform, 'cancel', id))[0]).toBe(202)
  await world.until('end', async () => isOver(await recordOf(world, id)))
  expect([told, left < 0, (await recordOf(world, id)).status]).toEqual([1, true, 'CANCELLED'])
})

describe('a cancelled command', () => {
  it('is counted by the agent without being done, and loses its secrets', async () => {
    const world = await new World().open()
    await world.request(create)
    await world.until('instance', () => isActive(world))
    const { id: instance = '' } = (await theInstance(world)) ?? {}
    const asking = { project: PROJECT, instance, requestId: 'req-3' }
    world.faults = { ...NO_FAULTS, lost: 100 }
    const users = [{ name: 'late', password: 'canary-1', databases: [] }]
    await guestClient(world.platform, { ...asking, once: 'op-1/user' }).create_user({ users })
    await guestClient(world.platform, { ...asking, once: 'op-2/user' }).create_user({
      users: [{ name: 'next', password: 'canary-1', databases: [] }],
    })
    await cancelCommands(world.platform, { project: PROJECT, instance, id: 'op-1' })
    expect((await commands.all(world.store, { limit: 9 })).items.map(({ body }) => body.status)).toEqual([
      'done',
      'cancelled',
      'issued',
    ])
    await expectErased(world)
    world.faults = NO_FAULTS
    await world.until('reports', async () => {
      const rows = (await commands.all(world.store, { limit: 9 })).items
      return rows.every(({ body }) => body.status === 'done' || body.status === 'failed')
    })
    const [guest] = world.machine.servers.values()
    expect(guest?.driver.executed).toEqual(['prepare', 'create_user next'])
    expect((await commands.all(world.store, { limit: 9 })).items[1]?.body).toMatchObject({
      status: 'failed',
      error: { code: 409, message: 'cancelled' },
    })
  })
})

it('an operation is shown with the deadline of its own step, how far it is and where it failed', async () => {
  const world = await new World().open()
  const steps = [{ name: 'one', deadlineMs: 30_000 }, { name: 'two' }]
  const known = { id: 'a', name: 'x', project: PROJECT, instance: 'i', requestId: 'r', request: {}, tries: 0, naps: 0 }
  const at = Date.UTC(2026, 0, 1)
  const running = { ...known, status: 'RUNNING' as const, step: 0, entered: at, started: at }
  const shown = (more: object) => operationView({ ...running, ...more }, steps)
  expect(shown({})).toEqual({
    id: 'a',
    name: 'x',
    status: 'RUNNING',
    step: 'one',
    steps: ['one', 'two'],
    percent: 0,
    started: '2026-01-01T00:00:00',
    finished: null,
    deadline: '2026-01-01T00:00:30',
    failed_step: null,
    error: null,
    request_id: 'r',
  })
  expect(shown({ step: 1 })).toMatchObject({ percent: 50, deadline: '2026-01-01T00:10:00' })
  expect(shown({ step: 2 })).toMatchObject({ percent: 99 })
  expect(shown({ step: 1, status: 'UNDOING', failedStep: 'two', parked: true })).toMatchObject({
    status: 'PARKED',
    deadline: null,
    failed_step: 'two',
  })
  expect(shown({ step: -1, status: 'FAILED', failedStep: 'two' })).toMatchObject({ step: null, percent: 0 })
  expect(world.effects).toBe(0)
})
