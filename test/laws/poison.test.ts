import { expect, it } from '@jest/globals'
import { instances, statusOf } from '../../lib/instances/instance.ts'
import { isOver, type SagaRecord, sagas } from '../../lib/kit/saga/saga.ts'
import { World } from '../sim/world.ts'
import { expectNothingLeft, PROJECT, remove, scenarios, theInstance, usedQuota } from './scenarios.ts'
import { operationId, recordOf } from './steering.ts'

/** More messages than that never fail where it ends. */
const MOST = 100

/** Lets time pass; answers how many messages failed meanwhile. */
async function failures(world: World, what: string, done: () => Promise<boolean>): Promise<number> {
  for (let failed = 0; ; failed++) {
    const error = await world.until(what, done).then(
      () => undefined,
      (error: unknown) => error,
    )
    if (error === undefined) return failed
    if (failed >= MOST || String(error).startsWith(`Error: no ${what}`)) throw error
  }
}

/** A create that stands at its first step, as the machine hears nothing, and then cannot be read any more. */
async function poisoned(world: World): Promise<string> {
  await world.request(platform => scenarios.create_instance.begin(platform))
  const id = await operationId(world, 'create_instance')
  await world.until('volume', async () => (await recordOf(world, id)).step === 1)
  await change(world, id, record => ({ ...record, request: spoilt(record.request) }))
  return id
}

async function change(world: World, id: string, how: (record: SagaRecord) => SagaRecord): Promise<void> {
  const item = await sagas.get(world.store, PROJECT, id)
  if (item) await world.store.transact([sagas.replace(item, how(item.body))])
}

const spoilt = (request: unknown) =>
  JSON.parse(JSON.stringify(request).replaceAll(/"password":"[^"]*"/g, '"password":"x"'))

it('an operation whose request cannot be read fails the messages about it, and ends in ERROR with nothing left', async () => {
  const world = await new World().open()
  const id = await poisoned(world)
  const failed = await failures(world, 'end', async () => isOver(await recordOf(world, id)))
  expect(failed).toBeGreaterThanOrEqual(5)
  expect(await recordOf(world, id)).toMatchObject({
    status: 'FAILED',
    failedStep: 'server',
    error: expect.stringContaining('its request cannot be read'),
  })
  const due = await world.store.due(Number.MAX_SAFE_INTEGER, 100)
  expect(due.map(({ key }) => key.id)).not.toContain(`saga#${id}`)
  const instance = await theInstance(world)
  expect(instance && statusOf(instance)).toBe('ERROR')
  expect(instance?.fault?.message).toContain('its request cannot be read')
  expect(await usedQuota(world)).toEqual({ instances: 1, ram: 0, volumes: 0 })
  expect([...world.machine.servers.keys(), ...world.machine.volumes.keys()]).toEqual([])
  await world.request(remove)
  await world.until('end', async () => (await theInstance(world)) === undefined)
  await expectNothingLeft(world)
})

it('an operation that nobody knows is parked, and does not stand in the way of a delete', async () => {
  const world = await new World().open()
  const id = await poisoned(world)
  await change(world, id, record => ({ ...record, name: 'of_a_newer_version' }))
  await failures(world, 'parked', async () => (await recordOf(world, id)).parked === true)
  expect(await recordOf(world, id)).toMatchObject({ status: 'RUNNING', error: 'no saga of_a_newer_version' })
  await world.request(remove)
  await failures(world, 'end', async () => (await instances.list(world.store, PROJECT, { limit: 1 })).length === 0)
})
