import { describe, expect, it } from '@jest/globals'
import { agentCommands, guestClient } from '../../lib/agents/agent.ts'
import { receiveMessage } from '../../lib/conductor/reports.ts'
import { CONDUCTOR_TOPIC, guestTopic } from '../../lib/contracts/conductor.ts'
import { Fault } from '../../lib/kit/errors.ts'
import { serverName, volumeName } from '../../lib/model/instance.ts'
import type { EmbeddedQueue } from '../../lib/platform/queue/embedded/queue.ts'
import { processDue } from '../../lib/taskmanager/scheduler.ts'
import { World } from '../sim/world.ts'
import { PROJECT, scenarios, theInstance } from './scenarios.ts'

const HOUR_MS = 3_600_000
const MAX_PENDING = 50

/** A queue that does not tell how many messages it has, as SQS's. */
function withoutBacklog({ backlog: _, ...queue }: EmbeddedQueue): EmbeddedQueue {
  return queue
}

let world: World
let instance: string
let name: string

/** Makes a world with an active instance. */
async function setUp(queue: (inner: EmbeddedQueue) => EmbeddedQueue): Promise<void> {
  world = await new World(1, { queue }).open()
  await scenarios.create_instance.begin(world.platform)
  await world.until('instance', () => scenarios.create_instance.done(world))
  instance = (await theInstance(world))?.id ?? ''
  name = serverName(instance, 1)
}

/** How many messages are in the agent's queue. */
const depth = () => world.queue.depth(guestTopic(instance, 1))?.ready ?? 0
const agent = (dedupeKey?: string) =>
  guestClient(world.platform, { project: PROJECT, instance, requestId: 'req-2', ...(dedupeKey && { dedupeKey }) })

/** Requests so many users, one command each; returns for each the command's status or the error's. */
async function createUsers(count: number): Promise<unknown[]> {
  const statuses: unknown[] = []
  for (let number = 0; number < count; number++)
    statuses.push(
      await agent()
        .create_user({ users: [{ name: `user-${number}`, password: 'pw1' }] })
        .then(
          ({ status }) => status,
          (error: unknown) => (error instanceof Fault ? error.status : error),
        ),
    )
  return statuses
}

/** Lets time pass, with `periodic` running every five seconds. */
async function passTime(ms: number): Promise<void> {
  for (const end = world.clock.now() + ms; world.clock.now() < end; ) {
    await world.clock.advance(5_000)
    await processDue(world.platform, await world.store.due(world.clock.now(), 100))
  }
}

/** The depth now and after each of three hours. */
async function depths(): Promise<number[]> {
  const measured = [depth()]
  for (let hour = 1; hour <= 3; hour++) {
    await passTime(HOUR_MS)
    measured.push(depth())
  }
  return measured
}

const withBacklog = (queue: EmbeddedQueue) => queue

describe('the commands of an agent that is gone', () => {
  it('are limited to 50, each of them in its queue once', async () => {
    await setUp(withBacklog)
    world.machine.haltServer(name)
    const statuses = await createUsers(300)
    expect(statuses.slice(0, MAX_PENDING)).toEqual(Array(MAX_PENDING).fill('issued'))
    expect(statuses.slice(MAX_PENDING)).toEqual(Array(250).fill(422))
    expect(await depths()).toEqual(Array(4).fill(MAX_PENDING))
  })

  it('are sent again every 15 minutes if the queue does not tell how many messages it has', async () => {
    await setUp(withoutBacklog)
    world.machine.haltServer(name)
    await createUsers(300)
    const [, first = 0, second = 0, third = 0] = await depths()
    expect([second - first, third - second]).toEqual([4 * MAX_PENDING, 4 * MAX_PENDING])
  })

  it('are in its queue once even if it sends heartbeats', async () => {
    await setUp(withBacklog)
    const { agent } = world.machine.servers.get(name) ?? {}
    world.machine.haltServer(name)
    await createUsers(10)
    for (let beat = 0; beat < 20; beat++) {
      await world.clock.advance(2_000)
      await agent?.heartbeat()
      for (const { body } of await world.queue.receive(CONDUCTOR_TOPIC, { max: 10, waitMs: 0 }))
        await receiveMessage(world.platform, body)
    }
    expect(depth()).toBe(10)
  })

  it('may be more than 50 for an operation', async () => {
    await setUp(withBacklog)
    world.machine.haltServer(name)
    await createUsers(MAX_PENDING)
    expect(await agent('op-1/restart').restart({})).toMatchObject({ status: 'issued', number: MAX_PENDING + 2 })
    await expect(agent().restart({})).rejects.toThrow(
      `Instance ${instance} is not currently available for an action to be performed (50 commands wait for its agent).`,
    )
  })

  it.each([
    ['tells how many messages it has', withBacklog],
    ['does not tell', withoutBacklog],
  ])('are done in order once it is back, on a queue that %s, and new ones are accepted', async (_how, queue) => {
    await setUp(queue)
    world.machine.haltServer(name)
    await createUsers(MAX_PENDING)
    // The messages sent before have expired.
    await passTime(2 * HOUR_MS)
    await world.machine.bootServer(name, instance, 1, volumeName(instance, 1))
    const pending = async () =>
      (await agentCommands.all(world.store, { limit: 100 })).items.filter(({ body }) => body.status !== 'done')
    await world.until('commands', async () => (await pending()).length === 0, 300_000)
    const users = Array.from({ length: MAX_PENDING }, (_, number) => `create_user user-${number}`)
    expect(world.machine.servers.get(name)?.driver.executed.slice(3)).toEqual(users)
    expect(await createUsers(1)).toEqual(['issued'])
  })
})
