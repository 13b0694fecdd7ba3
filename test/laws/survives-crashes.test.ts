import { expect, it } from '@jest/globals'
import type { SagaRecord } from '../../lib/kit/saga/saga.ts'
import type { CrashPoint, World } from '../sim/world.ts'
import {
  countEffects,
  expectSettled,
  isSettled,
  OPERATIONS,
  type OperationName,
  preparedWorld,
  scenarioOf,
} from './operations.ts'

const crashPoints = (effects: number): CrashPoint[] =>
  Array.from({ length: effects }, (_, index) => index + 1).flatMap(effect => [
    { effect, when: 'before' as const },
    { effect, when: 'after' as const },
  ])

async function isStored(world: World, name: OperationName): Promise<boolean> {
  return ((await world.sagas()) as SagaRecord[]).some(record => record.name === name)
}

it.each(OPERATIONS)(
  '%s survives a crash before and after every effect',
  async name => {
    const scenario = scenarioOf(name)
    const effects = await countEffects(name)
    expect(effects).toBeGreaterThan(5)
    for (const point of crashPoints(effects)) {
      const world = await preparedWorld(name)
      world.crashAt({ ...point, effect: world.effects + point.effect })
      await world.request(platform => scenario.begin(platform))
      // Its user repeats a request that died before it was stored.
      if (!(await isStored(world, name))) await world.request(platform => scenario.begin(platform))
      // Virtual time, shorter than the lease of 90 s: nobody may wait until the dead process's lease expires.
      await world.until(`end after a crash ${point.when} effect ${point.effect}`, () => isSettled(world), 60_000)
      expect([point, await scenario.done(world)]).toEqual([point, true])
      await expectSettled(world)
    }
  },
  120_000,
)
