import { expect, it } from '@jest/globals'
import { HOST_ID, hostTopic } from '../sim/names.ts'
import { World } from '../sim/world.ts'
import { scenarios } from './scenarios.ts'

/** Whether a create ends if the machine gets none of the first messages: only a timer can continue it. */
async function createEnds(world: World): Promise<boolean> {
  world.droppedTopics.add(hostTopic(HOST_ID))
  await world.request(platform => scenarios.create_instance.begin(platform))
  const lossEnds = world.clock.now() + 10_000
  await world.until('ten seconds', async () => world.clock.now() > lossEnds)
  world.droppedTopics.clear()
  return world
    .until('instance', () => scenarios.create_instance.done(world), 120_000)
    .then(
      () => true,
      () => false,
    )
}

it('delayed doorbells end the waits of an operation if periodic does not run', async () => {
  expect(await createEnds(await new World(1, { delaysDoorbells: true, periodic: false }).open())).toBe(true)
})

it('without delayed doorbells and periodic, an operation that lost its messages never ends', async () => {
  expect(await createEnds(await new World(1, { periodic: false }).open())).toBe(false)
})
