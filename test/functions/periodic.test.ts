import { describe, expect, it } from '@jest/globals'
import type { ScheduledEvent } from 'aws-lambda'
import { handler } from '../../functions/periodic.ts'
import { TASKMANAGER_TOPIC } from '../../lib/contracts/taskmanager.ts'
import { sagaRecord } from '../../lib/kit/saga/saga.ts'
import { instanceSubject } from '../../lib/model/instance.ts'
import { setPlatform } from '../../lib/wiring/current.ts'
import { contextOf } from '../../local/gateway/events.ts'
import { World } from '../sim/world.ts'

/** A world with that many operations of each project. No runner has them: their first doorbells were lost. */
async function worldWithOperations(...counts: [project: string, count: number][]): Promise<World> {
  const world = await new World().open()
  for (const [project, count] of counts) {
    for (let index = 0; index < count; index++) {
      const fields = { project, subject: instanceSubject(`${project}-${index}`), requestId: 'req-1', request: {} }
      await world.store.transact([
        sagaRecord({ id: `${project}-${index}`, name: 'restart', ...fields }, world.clock.now()),
      ])
    }
    await world.clock.advance(1)
  }
  await world.clock.advance(2_000)
  return world
}

async function tick(world: World): Promise<void> {
  setPlatform(world.platform)
  await handler({} as ScheduledEvent, contextOf('periodic', 60_000))
}

/** Takes all doorbells from the queue; returns the ids of their operations. */
async function takeDoorbells(world: World): Promise<string[]> {
  const ids: string[] = []
  for (;;) {
    const messages = await world.queue.receive(TASKMANAGER_TOPIC, { max: 10, waitMs: 0 })
    if (messages.length === 0) return ids
    ids.push(...messages.map(({ body }) => String(JSON.parse(body).input.operation_id)))
    await world.queue.ack(TASKMANAGER_TOPIC, messages.map(({ receipt }) => receipt)) // biome-ignore format: one line
  }
}

describe('periodic', () => {
  it('wakes all due operations, however many are of one project', async () => {
    const world = await worldWithOperations(['much', 450], ['little', 1])
    await tick(world)
    const ids = await takeDoorbells(world)
    expect([ids.length, new Set(ids).size, ids.includes('little-0')]).toEqual([451, 451, true])
  })

  it('wakes an operation again every two seconds until a runner takes it', async () => {
    const world = await worldWithOperations(['p1', 1])
    const seconds: number[] = []
    for (let second = 0; second < 7; second++) {
      await tick(world)
      if ((await takeDoorbells(world)).length > 0) seconds.push(second)
      await world.clock.advance(1_000)
    }
    expect(seconds).toEqual([0, 2, 4, 6])
  })
})
