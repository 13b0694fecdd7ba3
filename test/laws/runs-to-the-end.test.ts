import { expect, it } from '@jest/globals'
import { expectSettled, isSettled, OPERATIONS, preparedWorld, scenarioOf } from './operations.ts'

it.each(OPERATIONS)('%s runs to the end', async name => {
  const world = await preparedWorld(name)
  await world.request(platform => scenarioOf(name).begin(platform))
  await world.until('end', () => isSettled(world))
  expect(await scenarioOf(name).done(world)).toBe(true)
  await expectSettled(world)
})
