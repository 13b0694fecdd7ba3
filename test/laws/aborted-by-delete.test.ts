import { expect, it } from '@jest/globals'
import { countEffects, isSettled, OPERATIONS, preparedWorld, startUntilEffect } from './operations.ts'
import { deleteInstance, expectNothingLeft, theInstance } from './scenarios.ts'

it.each(OPERATIONS)(
  '%s is aborted by a delete at every effect',
  async name => {
    const effects = await countEffects(name)
    expect(effects).toBeGreaterThan(5)
    for (let effect = 1; effect <= effects; effect++) {
      const world = await preparedWorld(name)
      await startUntilEffect(world, name, effect)
      await world.request(deleteInstance)
      // Virtual time: a message ends every wait, none lasts until its timer.
      await world.until('end', async () => (await theInstance(world)) === undefined && (await isSettled(world)), 900)
      await expectNothingLeft(world)
    }
  },
  120_000,
)
