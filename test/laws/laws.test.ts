import { describe, expect, it } from '@jest/globals'
import type { TaskmanagerMethods } from '../../lib/contracts/taskmanager.ts'
import { commands } from '../../lib/guests/guest.ts'
import { sagas } from '../../lib/instances/index.ts'
import { ramOf } from '../../lib/instances/parts.ts'
import { Permanent } from '../../lib/kit/errors.ts'
import { SagaRunner } from '../../lib/kit/saga/runner.ts'
import { isOver, type Saga, type SagaRecord } from '../../lib/kit/saga/saga.ts'
import type { Platform } from '../../lib/platform/platform.ts'
import { type CrashPoint, World } from '../sim/world.ts'
import {
  expectBareMachine,
  expectErased,
  expectItsMachine,
  expectNoSecrets,
  expectNothingLeft,
  remove,
  scenarios,
  theInstance,
  usedQuota,
} from './scenarios.ts'
import { operationId, recordOf, steered } from './steering.ts'

type Name = keyof TaskmanagerMethods
const NAMES = Object.keys(scenarios) as Name[]
const sagaOf = (name: Name): Saga<unknown, Platform> => sagas[name]

/** A world in which a step of the saga throws, before or after it has done its work, for the first so many times. */
function failing(
  world: World,
  name: Name,
  index: number,
  when: 'before' | 'after',
  error: () => Error,
  times = Number.POSITIVE_INFINITY,
): void {
  let left = times
  const saga = sagaOf(name)
  const steps = saga.steps.map((step, at) => {
    if (at !== index) return step
    return {
      ...step,
      async do(run: Parameters<NonNullable<typeof step.do>>[0]) {
        if (when === 'after') await step.do?.(run)
        if (left-- > 0) throw error()
        if (when === 'before') await step.do?.(run)
      },
    }
  })
  const tampered: Record<string, Saga<unknown, Platform>> = { ...sagas, [name]: { ...saga, steps } }
  world.runWith(platform => new SagaRunner({ ...platform, deps: platform, sagas: tampered, leaseMs: 90_000 }))
}

async function isSettled(world: World): Promise<boolean> {
  const all = (await world.sagas()) as SagaRecord[]
  return all.length > 0 && all.every(isOver)
}

/** What must be so at the end of every saga, however it went. */
async function expectSettled(world: World): Promise<void> {
  await expectErased(world)
  const instance = await theInstance(world)
  if (!instance) return expectNothingLeft(world)
  expect(instance.operation).toBeUndefined()
  await expectNoSecrets(world)
  if (instance.gaveBack) {
    expectBareMachine(world)
    expect(await usedQuota(world)).toEqual({ instances: 1, ram: 0, volumes: 0 })
  } else {
    const { volume } = instance
    expect(await usedQuota(world)).toEqual({ instances: 1, ram: ramOf(instance), volumes: volume.sizeGb })
    expectItsMachine(world, instance)
  }
}

describe.each(NAMES)('%s', name => {
  const scenario = scenarios[name]
  const begun = async () => {
    const world = await new World().open()
    await scenario.before(world)
    return world
  }

  it('runs to the end', async () => {
    const world = await begun()
    await world.request(platform => scenario.begin(platform))
    await world.until('end', () => isSettled(world))
    expect(await scenario.done(world)).toBe(true)
    await expectSettled(world)
  })

  const failures = sagaOf(name).steps.flatMap((step, index) =>
    (['before', 'after'] as const).map(when => ({ step: step.name, index, when })),
  )
  it.each(failures)('fails cleanly $when its step $step', async ({ index, when }) => {
    const world = await begun()
    if (sagaOf(name).forwardOnly) failing(world, name, index, when, () => new Error('for now'), 4)
    else failing(world, name, index, when, () => new Permanent('for good'))
    await world.request(platform => scenario.begin(platform))
    await world.until('end', () => isSettled(world))
    expect(await (scenario.failed ?? scenario.done)(world)).toBe(true)
    await expectSettled(world)
  })

  it.each(failures)('gives up $when its step $step when that never works', async ({ index, when }) => {
    if (!scenario.failed) return expect(sagaOf(name).forwardOnly).toBe(true)
    const world = await begun()
    failing(world, name, index, when, () => new Error('again and again'))
    await world.request(platform => scenario.begin(platform))
    await world.until('end', () => isSettled(world))
    expect(await scenario.failed(world)).toBe(true)
    await expectSettled(world)
  })

  it('survives a crash before and after every effect', async () => {
    const effects = await effectsOf(name)
    expect(effects).toBeGreaterThan(5)
    for (const point of points(effects)) {
      const world = await begun()
      world.crashAt({ ...point, effect: world.effects + point.effect })
      await world.request(platform => scenario.begin(platform))
      // A request that died before it was stored is asked again by its user.
      if (!(await isBegun(world, name))) await world.request(platform => scenario.begin(platform))
      // Virtual time: nobody may wait for the lease of the dead one, which lasts 90 s.
      await world.until(`end after a crash ${point.when} effect ${point.effect}`, () => isSettled(world), 60_000)
      expect([point, await scenario.done(world)]).toEqual([point, true])
      await expectSettled(world)
    }
  }, 120_000)

  it('is preempted by a delete at every effect', async () => {
    const effects = await effectsOf(name)
    for (let effect = 1; effect <= effects; effect++) {
      const world = await begun()
      const start = world.effects
      await world.request(platform => scenario.begin(platform))
      await world.until('moment', async () => world.effects >= start + effect || (await isSettled(world)))
      await world.request(remove)
      // Virtual time: every wait is rung, none has to nap to its end.
      await world.until('end', async () => (await theInstance(world)) === undefined && (await isSettled(world)), 900)
      await expectNothingLeft(world)
    }
  }, 120_000)

  it('ends well, cancelled at every effect', async () => {
    const effects = await effectsOf(name)
    let turned = 0
    for (let effect = 0; effect <= effects; effect++) {
      const world = await begun()
      const start = world.effects
      await world.request(platform => scenario.begin(platform))
      const id = await operationId(world, name)
      await world.until('moment', async () => world.effects >= start + effect || (await isSettled(world)))
      const [status] = (await world.request(platform => steered(platform, 'cancel', id))) ?? []
      // Virtual time: it turns round at once, whatever it waited for.
      await world.until(`end, cancelled at effect ${effect}`, () => isSettled(world), 60_000)
      const { status: outcome } = await recordOf(world, id)
      if (scenario.failed && status === 202) {
        turned += 1
        const clean = await (scenario.cancelled ?? scenario.failed)(world)
        expect([effect, outcome, clean]).toEqual([effect, 'CANCELLED', true])
      } else {
        // 404: it has ended together with its instance.
        expect([404, 409]).toContain(status)
        expect([effect, outcome, await scenario.done(world)]).toEqual([effect, 'DONE', true])
      }
      await expectSettled(world)
      const left = (await commands.all(world.store, { limit: 100 })).items
      expect(left.filter(({ body }) => body.status === 'issued')).toEqual([])
    }
    // Every moment but the end of those that can turn round, none of the others.
    expect(turned > effects / 2).toBe(scenario.failed !== undefined)
  }, 120_000)

  it('a retry at every effect changes nothing', async () => {
    const effects = await effectsOf(name)
    for (let effect = 0; effect <= effects; effect++) {
      const world = await begun()
      const start = world.effects
      await world.request(platform => scenario.begin(platform))
      const id = await operationId(world, name)
      await world.until('moment', async () => world.effects >= start + effect || (await isSettled(world)))
      const [status] = (await world.request(platform => steered(platform, 'retry', id))) ?? []
      expect([202, 404, 409]).toContain(status)
      await world.until('end', () => isSettled(world), 60_000)
      expect([effect, await scenario.done(world)]).toEqual([effect, true])
      await expectSettled(world)
    }
  }, 120_000)

  async function effectsOf(_: Name): Promise<number> {
    const world = await begun()
    const start = world.effects
    await world.request(platform => scenario.begin(platform))
    await world.until('end', () => isSettled(world))
    return world.effects - start
  }
})

const points = (effects: number): CrashPoint[] =>
  Array.from({ length: effects }, (_, index) => index + 1).flatMap(effect => [
    { effect, when: 'before' as const },
    { effect, when: 'after' as const },
  ])

async function isBegun(world: World, name: Name): Promise<boolean> {
  return ((await world.sagas()) as SagaRecord[]).some(record => record.name === name)
}
