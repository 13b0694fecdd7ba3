import { describe, expect, it } from '@jest/globals'
import { hasEnded } from '../../lib/kit/saga/saga.ts'
import { instances } from '../../lib/model/instance.ts'
import { statusOf } from '../../lib/model/instance-status.ts'
import { LIMITS_RECORD, projectLimits } from '../../lib/model/quota.ts'
import { type ApiRequest, sendRequest } from '../sim/api.ts'
import { World } from '../sim/world.ts'
import { auditTrail, expectMachineMatches, PROJECT, scenarios, theInstance, usedQuota } from './scenarios.ts'
import { operationId, operationRecord } from './steering.ts'

/** A change that needs no operation: the request's transaction is all of it. */
interface Change {
  request(id: string): ApiRequest
  status: number
  /** Brings a world with a healthy instance to where the change can be requested. */
  before?(world: World): Promise<void>
  /** Whether the request's transaction is stored. */
  stored(world: World): Promise<boolean>
  /** Whether the change has taken effect and the instance is healthy. */
  done(world: World): Promise<boolean>
}

const isHealthy = async (world: World): Promise<boolean> => {
  const instance = await theInstance(world)
  if (!instance || instance.fault) return false
  return statusOf(instance) === 'ACTIVE' && instance.agentReport?.status === 'healthy'
}

const resetStatus = (id: string): ApiRequest => ({
  method: 'POST',
  path: `/instances/${id}/action`,
  body: { reset_status: {} },
  roles: 'admin',
})

const LIMITS = { instances: 3, ram: 2048 }

const CHANGES: Record<string, Change> = {
  'a new name': {
    request: id => ({ method: 'PUT', path: `/instances/${id}`, body: { instance: { name: 'store' } } }),
    status: 202,
    stored: async world => (await theInstance(world))?.name === 'store',
    done: async world => (await isHealthy(world)) && (await theInstance(world))?.name === 'store',
  },
  'a reset of the status without an operation': {
    request: resetStatus,
    status: 202,
    async before(world) {
      const [item] = await instances.list(world.store, PROJECT, { limit: 1 })
      if (!item) throw new Error('there is no instance')
      const fault = { message: 'no report in time', created: world.clock.now(), details: null }
      const broken = { ...item.body, failure: 'BUILDING_ERROR_TIMEOUT_GA' as const, fault }
      await world.store.transact([instances.replace(item, broken)])
    },
    stored: async world => (await theInstance(world))?.failure === undefined,
    // The agent's next report replaces the fault.
    done: isHealthy,
  },
  'a reset of the status during an operation': {
    request: resetStatus,
    status: 202,
    async before(world) {
      const start = world.effects
      await world.request(platform => scenarios.resize_volume.begin(platform))
      await world.until('work', async () => world.effects >= start + 4)
      expect((await resizeRecord(world)).status).toBe('RUNNING')
    },
    stored: async world => (await resizeRecord(world)).abortReason !== undefined,
    async done(world) {
      const { status } = await resizeRecord(world)
      return status === 'CANCELLED' && (await isHealthy(world)) && (await theInstance(world))?.operation === undefined
    },
  },
  "a change of a project's limits": {
    request: () => ({ method: 'PUT', path: `/mgmt/quotas/${PROJECT}`, body: { quotas: LIMITS }, roles: 'admin' }),
    status: 200,
    stored: async world => (await projectLimits.get(world.store, PROJECT, LIMITS_RECORD)) !== undefined,
    async done(world) {
      const limits = await projectLimits.get(world.store, PROJECT, LIMITS_RECORD)
      return (await isHealthy(world)) && JSON.stringify(limits?.body) === JSON.stringify(LIMITS)
    },
  },
}

const resizeRecord = async (world: World) => operationRecord(world, await operationId(world, 'resize_volume'))

/** A world in which the change can be requested, and the request for it. */
async function prepare({ before, request }: Change): Promise<{ world: World; request: ApiRequest }> {
  const world = await new World().open()
  await world.request(platform => scenarios.create_instance.begin(platform))
  await world.until('instance', () => scenarios.create_instance.done(world))
  await before?.(world)
  return { world, request: request((await theInstance(world))?.id ?? '') }
}

/** Expects instance, machine and quota to agree, and every operation to have ended. */
async function expectSettled(world: World): Promise<void> {
  const instance = await theInstance(world)
  if (!instance) throw new Error('there is no instance')
  expectMachineMatches(world, instance)
  expect([instance.volume.sizeGb, instance.flavor]).toEqual([1, '1'])
  expect(await usedQuota(world)).toEqual({ instances: 1, ram: 512, volumes: 1 })
  for (const record of await world.sagas()) expect(hasEnded(Object(record))).toBe(true)
}

describe.each(Object.entries(CHANGES))('%s', (_name, change) => {
  const { status: expectedStatus, stored, done } = change

  it('is done with its audit record or not at all if the process dies, and a repeated request does it', async () => {
    const undisturbed = await prepare(change)
    const start = undisturbed.world.effects
    expect((await sendRequest(undisturbed.world, undisturbed.request))?.status).toBe(expectedStatus)
    expect(await stored(undisturbed.world)).toBe(true)
    await undisturbed.world.until('end', () => done(undisturbed.world))
    await expectSettled(undisturbed.world)
    const effects = undisturbed.world.effects - start
    let crashes = 0
    for (let effect = 1; effect <= effects; effect++) {
      for (const when of ['before', 'after'] as const) {
        const { world, request } = await prepare(change)
        expect(world.effects).toBe(start)
        world.crashAt({ effect: start + effect, when })
        const first = await sendRequest(world, request)
        const audited = (await auditTrail(world)).map(({ method, status }) => ({ method, status }))
        if (!first) crashes += 1
        expect([effect, when, first?.status ?? expectedStatus, audited.length]).toEqual([
          effect,
          when,
          expectedStatus,
          Number(await stored(world)),
        ])
        // The crash may lose the status from the record, nothing else.
        for (const { method, status } of audited) {
          expect([method, status ?? expectedStatus]).toEqual([request.method, expectedStatus])
          if (first) expect(status).toBe(expectedStatus)
        }
        if (!first) expect((await sendRequest(world, request))?.status).toBe(expectedStatus)
        await world.until(`end after a crash ${when} effect ${effect}`, () => done(world), 60_000)
        await expectSettled(world)
      }
    }
    expect(crashes).toBeGreaterThanOrEqual(2)
  }, 60_000)
})
