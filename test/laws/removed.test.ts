import { describe, expect, it } from '@jest/globals'
import { look } from '../../functions/periodic.ts'
import { CONDUCTOR_TOPIC, guestTopic } from '../../lib/contracts/conductor.ts'
import { commands, guestClient } from '../../lib/guests/guest.ts'
import { receive } from '../../lib/guests/reports.ts'
import { serverName, volumeName } from '../../lib/instances/instance.ts'
import { Fault } from '../../lib/kit/errors.ts'
import type { EmbeddedQueue } from '../../lib/platform/queue/embedded.ts'
import { World } from '../sim/world.ts'
import { PROJECT, scenarios, theInstance } from './scenarios.ts'

const HOUR_MS = 3_600_000
const MOST_OPEN = 50

/** A queue that cannot say what lies in it, as SQS's. */
function mute({ backlog: _, ...queue }: EmbeddedQueue): EmbeddedQueue {
  return queue
}

let world: World
let instance: string
let name: string

/** A world with an instance that is well. */
async function begin(queue: (inner: EmbeddedQueue) => EmbeddedQueue): Promise<void> {
  world = await new World(1, { queue }).open()
  await scenarios.create_instance.begin(world.platform)
  await world.until('instance', () => scenarios.create_instance.done(world))
  instance = (await theInstance(world))?.id ?? ''
  name = serverName(instance, 1)
}

/** How many messages lie in the agent's queue. */
const depth = () => world.queue.depth(guestTopic(instance, 1))?.ready ?? 0
const agent = (once?: string) =>
  guestClient(world.platform, { project: PROJECT, instance, requestId: 'req-2', ...(once && { once }) })

/** Asks for so many users, one command each; answers how each was taken. */
async function ask(count: number): Promise<unknown[]> {
  const taken: unknown[] = []
  for (let number = 0; number < count; number++)
    taken.push(
      await agent()
        .create_user({ users: [{ name: `user-${number}`, password: 'pw1' }] })
        .then(
          ({ status }) => status,
          (error: unknown) => (error instanceof Fault ? error.status : error),
        ),
    )
  return taken
}

/** Lets `periodic` look every five seconds. */
async function pass(ms: number): Promise<void> {
  for (const end = world.clock.now() + ms; world.clock.now() < end; ) {
    await world.clock.advance(5_000)
    await look(world.platform, await world.store.due(world.clock.now(), 100))
  }
}

/** The depth now and after each of three hours. */
async function depths(): Promise<number[]> {
  const seen = [depth()]
  for (let hour = 1; hour <= 3; hour++) {
    await pass(HOUR_MS)
    seen.push(depth())
  }
  return seen
}

const told = (queue: EmbeddedQueue) => queue

describe('what is asked of an agent that is gone', () => {
  it('is 50 commands at most, each of which lies in its queue once', async () => {
    await begin(told)
    world.machine.halts(name)
    const taken = await ask(300)
    expect(taken.slice(0, MOST_OPEN)).toEqual(Array(MOST_OPEN).fill('issued'))
    expect(taken.slice(MOST_OPEN)).toEqual(Array(250).fill(422))
    expect(await depths()).toEqual(Array(4).fill(MOST_OPEN))
  })

  it('is sent again every 15 minutes where the queue cannot tell what lies in it', async () => {
    await begin(mute)
    world.machine.halts(name)
    await ask(300)
    const [, first = 0, second = 0, third = 0] = await depths()
    expect([second - first, third - second]).toEqual([4 * MOST_OPEN, 4 * MOST_OPEN])
  })

  it('lies there once even if it says that it lives', async () => {
    await begin(told)
    const { agent } = world.machine.servers.get(name) ?? {}
    world.machine.halts(name)
    await ask(10)
    for (let beat = 0; beat < 20; beat++) {
      await world.clock.advance(2_000)
      await agent?.heartbeat()
      for (const { body } of await world.queue.receive(CONDUCTOR_TOPIC, { max: 10, waitMs: 0 }))
        await receive(world.platform, body)
    }
    expect(depth()).toBe(10)
  })

  it('may be more for an operation', async () => {
    await begin(told)
    world.machine.halts(name)
    await ask(MOST_OPEN)
    expect(await agent('op-1/restart').restart({})).toMatchObject({ status: 'issued', number: MOST_OPEN + 2 })
    await expect(agent().restart({})).rejects.toThrow(
      `Instance ${instance} is not currently available for an action to be performed (50 commands wait for its agent).`,
    )
  })

  it.each([
    ['tells what lies in it', told],
    ['cannot tell', mute],
  ])('is done in its order once it is back, on a queue that %s, and more is taken', async (_how, queue) => {
    await begin(queue)
    world.machine.halts(name)
    await ask(MOST_OPEN)
    // The messages of before are no longer good.
    await pass(2 * HOUR_MS)
    await world.machine.boots(name, instance, 1, volumeName(instance, 1))
    const open = async () =>
      (await commands.all(world.store, { limit: 100 })).items.filter(({ body }) => body.status !== 'done')
    await world.until('commands', async () => (await open()).length === 0, 300_000)
    const users = Array.from({ length: MOST_OPEN }, (_, number) => `create_user user-${number}`)
    expect(world.machine.servers.get(name)?.driver.executed.slice(3)).toEqual(users)
    expect(await ask(1)).toEqual(['issued'])
  })
})
