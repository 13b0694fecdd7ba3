import { expect, it } from '@jest/globals'
import { guestTopic } from '../../lib/contracts/conductor.ts'
import { World } from '../sim/world.ts'
import { scenarios, theInstance } from './scenarios.ts'

const guestTopics = (world: World) => world.queue.topics().filter(topic => topic.startsWith('guest-'))

/** What a start does where the queue is in memory: it declares the topic of each agent that is on record. */
async function declareAgain(world: World): Promise<string> {
  const { id, generation } = (await theInstance(world))!
  await world.queue.declare(guestTopic(id, generation))
  return id
}

it('a rebuild leaves no queue of the agent before, though a restart in its middle declares that again', async () => {
  const world = await new World().open()
  await scenarios.rebuild.before(world)
  await world.request(platform => scenarios.rebuild.begin(platform))
  await world.until('end of the old server', async () => world.machine.servers.size === 0)
  expect((await theInstance(world))?.generation).toBe(1)
  const id = await declareAgain(world)
  await world.until('rebuild', () => scenarios.rebuild.done(world))
  expect(guestTopics(world)).toEqual([guestTopic(id, 2)])
})

it('a delete leaves no queue of any agent that the instance had', async () => {
  const world = await new World().open()
  await scenarios.rebuild.before(world)
  await world.request(platform => scenarios.rebuild.begin(platform))
  await world.until('rebuild', () => scenarios.rebuild.done(world))
  const { id } = (await theInstance(world))!
  for (const generation of [1, 2]) await world.queue.declare(guestTopic(id, generation))
  await world.request(platform => scenarios.delete_instance.begin(platform))
  await world.until('delete', () => scenarios.delete_instance.done(world))
  expect(guestTopics(world)).toEqual([])
})
