import { expect, it } from '@jest/globals'
import { HOST_ID, hostTopic } from '../sim/names.ts'
import { World } from '../sim/world.ts'
import { scenarios } from './scenarios.ts'

/** A create whose first wishes to the machine are all lost; nothing but the end of its waits brings it on. */
async function created(world: World): Promise<boolean> {
  world.deaf.add(hostTopic(HOST_ID))
  await world.request(platform => scenarios.create_instance.begin(platform))
  const heard = world.clock.now() + 10_000
  await world.until('ten seconds', async () => world.clock.now() > heard)
  world.deaf.clear()
  return world
    .until('instance', () => scenarios.create_instance.done(world), 120_000)
    .then(
      () => true,
      () => false,
    )
}

it('delayed doorbells end waits where periodic hardly ever looks', async () => {
  expect(await created(await new World(1, { delaysDoorbells: true, periodic: false }).open())).toBe(true)
})

it('without them nothing would', async () => {
  expect(await created(await new World(1, { periodic: false }).open())).toBe(false)
})
