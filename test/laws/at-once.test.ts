import { describe, expect, it } from '@jest/globals'
import { instances, statusOf } from '../../lib/instances/instance.ts'
import { isOver } from '../../lib/kit/saga/saga.ts'
import { OWN_LIMITS, ownLimits } from '../../lib/quotas/quota.ts'
import { asked, type Sent } from '../sim/api.ts'
import { World } from '../sim/world.ts'
import { expectItsMachine, PROJECT, records, scenarios, theInstance, usedQuota } from './scenarios.ts'
import { operationId, recordOf } from './steering.ts'

/** A change without a saga of its own: what the request does is all there is. */
interface Change {
  sent(id: string): Sent
  answer: number
  /** Brings a world with an instance that serves to where it can be asked for. */
  before?(world: World): Promise<void>
  /** Whether the request's own part of it is stored. */
  stored(world: World): Promise<boolean>
  /** Whether all is as it should be in the end; what was asked for, if anything, is so. */
  done(world: World): Promise<boolean>
}

const isWell = async (world: World): Promise<boolean> => {
  const now = await theInstance(world)
  return now !== undefined && statusOf(now) === 'ACTIVE' && now.service?.status === 'healthy' && !now.fault
}

const reset = (id: string): Sent => ({
  method: 'POST',
  path: `/instances/${id}/action`,
  body: { reset_status: {} },
  roles: 'admin',
})

const LIMITS = { instances: 3, ram: 2048 }

const CHANGES: Record<string, Change> = {
  'a new name': {
    sent: id => ({ method: 'PUT', path: `/instances/${id}`, body: { instance: { name: 'store' } } }),
    answer: 202,
    stored: async world => (await theInstance(world))?.name === 'store',
    done: async world => (await isWell(world)) && (await theInstance(world))?.name === 'store',
  },
  'a reset of the status, where nothing runs': {
    sent: reset,
    answer: 202,
    async before(world) {
      const [item] = await instances.list(world.store, PROJECT, { limit: 1 })
      if (!item) throw new Error('there is no instance')
      const fault = { message: 'no report in time', created: world.clock.now(), details: null }
      const broken = { ...item.body, task: 'BUILDING_ERROR_TIMEOUT_GA' as const, fault }
      await world.store.transact([instances.replace(item, broken)])
    },
    stored: async world => (await theInstance(world))?.task === 'NONE',
    // Its agent has told how it is.
    done: isWell,
  },
  'a reset of the status, in the middle of an operation': {
    sent: reset,
    answer: 202,
    async before(world) {
      const start = world.effects
      await world.request(platform => scenarios.resize_volume.begin(platform))
      await world.until('work', async () => world.effects >= start + 4)
      expect((await resizing(world)).status).toBe('RUNNING')
    },
    stored: async world => (await resizing(world)).preempted !== undefined,
    async done(world) {
      const { status } = await resizing(world)
      return status === 'CANCELLED' && (await isWell(world)) && (await theInstance(world))?.operation === undefined
    },
  },
  "a change of a project's limits": {
    sent: () => ({ method: 'PUT', path: `/mgmt/quotas/${PROJECT}`, body: { quotas: LIMITS }, roles: 'admin' }),
    answer: 200,
    stored: async world => (await ownLimits.get(world.store, PROJECT, OWN_LIMITS)) !== undefined,
    async done(world) {
      const own = await ownLimits.get(world.store, PROJECT, OWN_LIMITS)
      return (await isWell(world)) && JSON.stringify(own?.body) === JSON.stringify(LIMITS)
    },
  },
}

const resizing = async (world: World) => recordOf(world, await operationId(world, 'resize_volume'))

/** A world in which the change can be asked for, and the request for it. */
async function begun({ before, sent }: Change): Promise<{ world: World; request: Sent }> {
  const world = await new World().open()
  await world.request(platform => scenarios.create_instance.begin(platform))
  await world.until('instance', () => scenarios.create_instance.done(world))
  await before?.(world)
  return { world, request: sent((await theInstance(world))?.id ?? '') }
}

/** The instance is whole, and the project has of its quota what it has. */
async function expectSettled(world: World): Promise<void> {
  const instance = await theInstance(world)
  if (!instance) throw new Error('there is no instance')
  expectItsMachine(world, instance)
  expect([instance.volume.sizeGb, instance.flavor]).toEqual([1, '1'])
  expect(await usedQuota(world)).toEqual({ instances: 1, ram: 512, volumes: 1 })
  for (const record of await world.sagas()) expect(isOver(Object(record))).toBe(true)
}

describe.each(Object.entries(CHANGES))('%s', (_name, change) => {
  const { answer, stored, done } = change

  it('is done or not, whenever the process dies, never without its record; asked again it is done', async () => {
    const calm = await begun(change)
    const start = calm.world.effects
    expect((await asked(calm.world, calm.request))?.status).toBe(answer)
    expect(await stored(calm.world)).toBe(true)
    await calm.world.until('end', () => done(calm.world))
    await expectSettled(calm.world)
    const effects = calm.world.effects - start
    let died = 0
    for (let effect = 1; effect <= effects; effect++) {
      for (const when of ['before', 'after'] as const) {
        const { world, request } = await begun(change)
        expect(world.effects).toBe(start)
        world.crashAt({ effect: start + effect, when })
        const first = await asked(world, request)
        const told = (await records(world)).map(({ method, status }) => ({ method, status }))
        if (!first) died += 1
        expect([effect, when, first?.status ?? answer, told.length]).toEqual([
          effect,
          when,
          answer,
          Number(await stored(world)),
        ])
        // What is lost is the outcome at most.
        for (const { method, status } of told) {
          expect([method, status ?? answer]).toEqual([request.method, answer])
          if (first) expect(status).toBe(answer)
        }
        if (!first) expect((await asked(world, request))?.status).toBe(answer)
        await world.until(`end after a crash ${when} effect ${effect}`, () => done(world), 60_000)
        await expectSettled(world)
      }
    }
    expect(died).toBeGreaterThanOrEqual(2)
  }, 60_000)
})
