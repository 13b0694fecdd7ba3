import { describe, expect, it } from '@jest/globals'
import { agentCommands, guestClient } from '../../lib/agents/agent.ts'
import { cancelCommands } from '../../lib/agents/cancel.ts'
import { sagas } from '../../lib/instances/index.ts'
import { CreateBody, requestCreate } from '../../lib/instances/verbs/create.ts'
import { TerminalError } from '../../lib/kit/errors.ts'
import { SagaRunner } from '../../lib/kit/saga/runner.ts'
import { hasEnded, type Saga, type SagaRecord } from '../../lib/kit/saga/saga.ts'
import { statusOf } from '../../lib/model/instance-status.ts'
import { operationView } from '../../lib/model/operation.ts'
import type { Platform } from '../../lib/platform/platform.ts'
import { silentLog } from '../kit/random.ts'
import { NO_FAULTS } from '../sim/bus.ts'
import { perform } from '../sim/perform.ts'
import { World } from '../sim/world.ts'
import {
  deleteInstance,
  expectNothingLeft,
  expectSecretsErased,
  PROJECT,
  scenarios,
  theInstance,
  usedQuota,
} from './scenarios.ts'
import { operationId, operationRecord, steer } from './steering.ts'

type Name = keyof typeof sagas
const MINUTE = 60_000

const createWithoutPasswords = (platform: Platform) => {
  const caller = { project: PROJECT, user: 'u1', admin: false, requestId: 'req-1', baseUrl: '', query: {}, params: {} }
  const body = CreateBody.parse({ instance: { name: 'shop', flavorRef: 1, volume: { size: 1 } } })
  return perform(platform, () => requestCreate({ ...caller, deps: platform, method: 'POST', body, log: silentLog }))
}

/** Runs the operations of this world with `before` called before one step's work. */
function beforeStep(world: World, name: Name, stepName: string, before: () => void): void {
  const saga: Saga<unknown, Platform> = sagas[name]
  const steps = saga.steps.map(step => {
    if (step.name !== stepName) return step
    const work: typeof step.do = async run => {
      before()
      await step.do?.(run)
    }
    return { ...step, do: work }
  })
  world.runWith(platform => {
    const all: Record<string, Saga<unknown, Platform>> = { ...sagas, [name]: { ...saga, steps } }
    const onUndo = ({ project, subject, id }: SagaRecord) => cancelCommands(platform, project, subject.id, id)
    return new SagaRunner({ ...platform, context: platform, sagas: all, leaseMs: 90_000, onUndo })
  })
}

async function failCreate(world: World, request: (platform: Platform) => Promise<unknown>): Promise<string> {
  let broken = true
  beforeStep(world, 'create_instance', 'send_prepare', () => {
    if (broken) throw new TerminalError('for good')
  })
  await world.request(request)
  const id = await operationId(world, 'create_instance')
  await world.until('failure', async () => hasEnded(await operationRecord(world, id)))
  broken = false
  return id
}

async function isActive(world: World): Promise<boolean> {
  const instance = await theInstance(world)
  return instance !== undefined && statusOf(instance) === 'ACTIVE' && instance.agentReport?.status === 'healthy'
}

describe('a retry of a failed create', () => {
  it('starts it again on a new generation, and reserves its quota again', async () => {
    const world = await new World().open()
    const id = await failCreate(world, createWithoutPasswords)
    expect(await usedQuota(world)).toEqual({ instances: 1, ram: 0, volumes: 0 })
    expect(await world.request(platform => steer(platform, 'retry', id))).toEqual([202, ''])
    await world.until('instance', () => isActive(world), MINUTE)
    expect(await usedQuota(world)).toEqual({ instances: 1, ram: 512, volumes: 1 })
    const instance = await theInstance(world)
    expect([instance?.generation, instance?.fault, instance?.operation, instance?.quotaReleased]).toEqual([2])
    expect([...world.machine.servers.keys()]).toEqual([`server-${instance?.id}-2`])
    // The failed operation stays FAILED; the new one is the one that is DONE.
    expect((await operationRecord(world, id)).status).toBe('FAILED')
    expect(await steer(world.platform, 'retry', id)).toEqual([409, expect.stringContaining('cannot be retried')])
    await world.request(deleteInstance)
    await world.until('end', async () => (await theInstance(world)) === undefined)
    await expectNothingLeft(world)
  })

  it('is refused once the passwords in its request are erased', async () => {
    const world = await new World().open()
    const id = await failCreate(world, platform => scenarios.create_instance.begin(platform))
    expect(await steer(world.platform, 'retry', id)).toEqual([409, expect.stringContaining('were erased')])
    expect(await usedQuota(world)).toEqual({ instances: 1, ram: 0, volumes: 0 })
  })

  it('is refused over the quota, and then changes nothing', async () => {
    const world = await new World().open()
    const id = await failCreate(world, createWithoutPasswords)
    const key = { project: PROJECT, id: 'quota#volumes' }
    await world.store.transact([{ op: 'add', key, field: 'used', by: 40 }])
    expect((await steer(world.platform, 'retry', id))[0]).toBe(413)
    expect((await theInstance(world))?.generation).toBe(1)
  })

  it('is refused for a create that succeeded', async () => {
    const world = await new World().open()
    await world.request(createWithoutPasswords)
    await world.until('instance', () => isActive(world))
    const id = await operationId(world, 'create_instance')
    expect(await steer(world.platform, 'retry', id)).toEqual([409, expect.stringContaining('has succeeded')])
  })
})

describe('a retry of a waiting operation', () => {
  it('tries its step again immediately, with its tries counted from zero', async () => {
    const world = await new World().open()
    let broken = true
    beforeStep(world, 'create_instance', 'create_server', () => {
      if (broken) throw new Error('for now')
    })
    await world.request(createWithoutPasswords)
    const id = await operationId(world, 'create_instance')
    await world.until('many tries', async () => (await operationRecord(world, id)).tries >= 9)
    broken = false
    const retriedAt = world.clock.now()
    expect(await world.request(platform => steer(platform, 'retry', id))).toEqual([202, ''])
    await world.until('instance', () => isActive(world), 1_000)
    expect(world.clock.now() - retriedAt).toBeLessThan(1_000)
  })

  it('is not needed if it only runs forward: it goes on past its tries and its deadline', async () => {
    const world = await new World().open()
    await world.request(createWithoutPasswords)
    await world.until('instance', () => isActive(world))
    let left = 25
    beforeStep(world, 'delete_instance', 'delete_server', () => {
      if (left-- > 0) throw new Error('for now')
    })
    await world.request(deleteInstance)
    const id = await operationId(world, 'delete_instance')
    await world.until('parking', async () => (await operationRecord(world, id)).parked === true)
    await world.until('end', async () => (await theInstance(world)) === undefined, 120 * MINUTE)
    await expectNothingLeft(world)
  })
})

describe('a cancel', () => {
  it('also cancels a command that the agent has not received yet', async () => {
    const world = await new World().open()
    beforeStep(world, 'create_instance', 'send_prepare', () => {
      world.faults = { ...NO_FAULTS, lost: 100 }
    })
    await world.request(platform => scenarios.create_instance.begin(platform))
    const id = await operationId(world, 'create_instance')
    await world.until('command', async () => (await agentCommands.all(world.store, { limit: 1 })).items.length > 0)
    expect((await steer(world.platform, 'cancel', id))[0]).toBe(202)
    world.faults = NO_FAULTS
    await world.until('end', async () => hasEnded(await operationRecord(world, id)))
    const [row] = (await agentCommands.all(world.store, { limit: 9 })).items
    expect(['cancelled', 'failed']).toContain(row?.body.status)
    await expectSecretsErased(world)
  })

  it('still rolls the operation back when it arrives during the last step', async () => {
    const world = await new World().open()
    let answer: Promise<[number, string]> | undefined
    const saga: Saga<unknown, Platform> = sagas.create_instance
    const onEnd: typeof saga.onEnd = async (run, outcome) => {
      const changes = await saga.onEnd?.(run, outcome)
      answer ??= steer(world.platform, 'cancel', run.id)
      await answer
      return changes ?? []
    }
    world.runWith(platform => {
      const all = { ...sagas, create_instance: { ...saga, onEnd } }
      return new SagaRunner({ ...platform, context: platform, sagas: all, leaseMs: 90_000 })
    })
    await world.request(createWithoutPasswords)
    const id = await operationId(world, 'create_instance')
    await world.until('end', async () => hasEnded(await operationRecord(world, id)))
    expect([(await answer)?.[0], (await operationRecord(world, id)).status]).toEqual([202, 'CANCELLED'])
    expect(await usedQuota(world)).toEqual({ instances: 1, ram: 0, volumes: 0 })
    expect(await scenarios.create_instance.failed?.(world)).toBe(true)
  })
})

it('the undo of an operation is announced once, so that the commands of the undo are not cancelled', async () => {
  const world = await new World().open()
  let [announced, left] = [0, 3]
  const saga: Saga<unknown, Platform> = sagas.create_instance
  const steps = saga.steps.map(step => ({
    ...step,
    isUndone: async (run: Parameters<NonNullable<typeof step.isUndone>>[0]) =>
      left-- <= 0 && (step.isUndone === undefined || (await step.isUndone(run))),
  }))
  world.runWith(platform => {
    const all = { ...sagas, create_instance: { ...saga, steps } }
    const onUndo = async () => {
      announced += 1
    }
    return new SagaRunner({ ...platform, context: platform, sagas: all, leaseMs: 90_000, onUndo })
  })
  await world.request(createWithoutPasswords)
  const id = await operationId(world, 'create_instance')
  await world.until('server', async () => (await operationRecord(world, id)).step === 1)
  expect((await steer(world.platform, 'cancel', id))[0]).toBe(202)
  await world.until('end', async () => hasEnded(await operationRecord(world, id)))
  expect([announced, left < 0, (await operationRecord(world, id)).status]).toEqual([1, true, 'CANCELLED'])
})

describe('a cancelled command', () => {
  it('is counted by the agent without being executed, and its secrets are erased', async () => {
    const world = await new World().open()
    await world.request(createWithoutPasswords)
    await world.until('instance', () => isActive(world))
    const { id: instance = '' } = (await theInstance(world)) ?? {}
    const caller = { project: PROJECT, instance, requestId: 'req-3' }
    world.faults = { ...NO_FAULTS, lost: 100 }
    const users = [{ name: 'bob', password: 'canary-1', databases: [] }]
    await guestClient(world.platform, { ...caller, dedupeKey: 'op-1/user' }).create_user({ users })
    await guestClient(world.platform, { ...caller, dedupeKey: 'op-2/user' }).create_user({
      users: [{ name: 'next', password: 'canary-1', databases: [] }],
    })
    await cancelCommands(world.platform, PROJECT, instance, 'op-1')
    expect((await agentCommands.all(world.store, { limit: 9 })).items.map(({ body }) => body.status)).toEqual([
      'done',
      'cancelled',
      'issued',
    ])
    await expectSecretsErased(world)
    world.faults = NO_FAULTS
    await world.until('reports', async () => {
      const rows = (await agentCommands.all(world.store, { limit: 9 })).items
      return rows.every(({ body }) => body.status === 'done' || body.status === 'failed')
    })
    const [guest] = world.machine.servers.values()
    expect(guest?.driver.executed).toEqual(['prepare', 'create_user next'])
    expect((await agentCommands.all(world.store, { limit: 9 })).items[1]?.body).toMatchObject({
      status: 'failed',
      error: { code: 409, message: 'cancelled' },
    })
  })
})

it('the view of an operation has the deadline of its step, its progress and its failed step', async () => {
  const world = await new World().open()
  const steps = [{ name: 'one', deadlineMs: 30_000 }, { name: 'two' }]
  const record = {
    id: 'a',
    name: 'x',
    project: PROJECT,
    subject: { kind: 'instance', id: 'i' },
    requestId: 'r',
    request: {},
    tries: 0,
    waits: 0,
  }
  const started = Date.UTC(2026, 0, 1)
  const running = { ...record, status: 'RUNNING' as const, step: 0, stepEntered: started, started }
  const view = (changes: object) => operationView({ ...running, ...changes }, steps)
  expect(view({})).toEqual({
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
  expect(view({ step: 1 })).toMatchObject({ percent: 50, deadline: '2026-01-01T00:10:00' })
  expect(view({ step: 2 })).toMatchObject({ percent: 99 })
  expect(view({ step: 1, status: 'UNDOING', failedStep: 'two', parked: true })).toMatchObject({
    status: 'PARKED',
    deadline: null,
    failed_step: 'two',
  })
  expect(view({ step: -1, status: 'FAILED', failedStep: 'two' })).toMatchObject({ step: null, percent: 0 })
  expect(world.effects).toBe(0)
})
