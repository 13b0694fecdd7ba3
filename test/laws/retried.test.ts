import { expect, it } from '@jest/globals'
import {
  countEffects,
  expectSettled,
  isSettled,
  OPERATIONS,
  preparedWorld,
  scenarioOf,
  startUntilEffect,
} from './operations.ts'
import { operationId, steer } from './steering.ts'

it.each(OPERATIONS)(
  '%s is not changed by a retry at any effect',
  async name => {
    const effects = await countEffects(name)
    for (let effect = 0; effect <= effects; effect++) {
      const world = await preparedWorld(name)
      await startUntilEffect(world, name, effect)
      const id = await operationId(world, name)
      const [status] = (await world.request(platform => steer(platform, 'retry', id))) ?? []
      expect([202, 404, 409]).toContain(status)
      await world.until('end', () => isSettled(world), 60_000)
      expect([effect, await scenarioOf(name).done(world)]).toEqual([effect, true])
      await expectSettled(world)
    }
  },
  120_000,
)
