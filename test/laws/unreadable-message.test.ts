import { expect, it } from '@jest/globals'
import { hasEnded, type SagaRecord, sagas } from '../../lib/kit/saga/saga.ts'
import { instances } from '../../lib/model/instance.ts'
import { statusOf } from '../../lib/model/instance-status.ts'
import { World } from '../sim/world.ts'
import { deleteInstance, expectNothingLeft, PROJECT, scenarios, theInstance, usedQuota } from './scenarios.ts'
import { operationId, operationRecord } from './steering.ts'

/** An operation that ends fails fewer messages than this. */
const MAX_FAILURES = 100

/** Lets time pass until `isDone`; returns how many messages failed meanwhile. */
async function countFailures(world: World, what: string, isDone: () => Promise<boolean>): Promise<number> {
  for (let failed = 0; ; failed++) {
    const error = await world.until(what, isDone).then(
      () => undefined,
      (error: unknown) => error,
    )
    if (error === undefined) return failed
    if (failed >= MAX_FAILURES || String(error).startsWith(`Error: no ${what}`)) throw error
  }
}

/** Starts a create and damages the encrypted passwords in its record once it has reached its second step. */
async function startUnreadableCreate(world: World): Promise<string> {
  await world.request(platform => scenarios.create_instance.begin(platform))
  const id = await operationId(world, 'create_instance')
  await world.until('volume', async () => (await operationRecord(world, id)).step === 1)
  await updateSaga(world, id, record => ({ ...record, request: damagePasswords(record.request) }))
  return id
}

async function updateSaga(world: World, id: string, change: (record: SagaRecord) => SagaRecord): Promise<void> {
  const item = await sagas.get(world.store, PROJECT, id)
  if (item) await world.store.transact([sagas.replace(item, change(item.body))])
}

const damagePasswords = (request: unknown) =>
  JSON.parse(JSON.stringify(request).replaceAll(/"password":"[^"]*"/g, '"password":"x"'))

it('an operation whose request cannot be decrypted fails its messages, then ends in ERROR with nothing left', async () => {
  const world = await new World().open()
  const id = await startUnreadableCreate(world)
  const failed = await countFailures(world, 'end', async () => hasEnded(await operationRecord(world, id)))
  expect(failed).toBeGreaterThanOrEqual(5)
  expect(await operationRecord(world, id)).toMatchObject({
    status: 'FAILED',
    failedStep: 'create_server',
    error: expect.stringContaining('its request cannot be read'),
  })
  const due = await world.store.due(Number.MAX_SAFE_INTEGER, 100)
  expect(due.map(({ key }) => key.id)).not.toContain(`saga#${id}`)
  const instance = await theInstance(world)
  expect(instance && statusOf(instance)).toBe('ERROR')
  expect(instance?.fault?.message).toContain('its request cannot be read')
  expect(await usedQuota(world)).toEqual({ instances: 1, ram: 0, volumes: 0 })
  expect([...world.machine.servers.keys(), ...world.machine.volumes.keys()]).toEqual([])
  await world.request(deleteInstance)
  await world.until('end', async () => (await theInstance(world)) === undefined)
  await expectNothingLeft(world)
})

it('an operation of an unknown kind is parked, and does not block a delete', async () => {
  const world = await new World().open()
  const id = await startUnreadableCreate(world)
  await updateSaga(world, id, record => ({ ...record, name: 'of_a_newer_version' }))
  await countFailures(world, 'parked', async () => (await operationRecord(world, id)).parked === true)
  expect(await operationRecord(world, id)).toMatchObject({ status: 'RUNNING', error: 'no saga of_a_newer_version' })
  await world.request(deleteInstance)
  await countFailures(world, 'end', async () => (await instances.list(world.store, PROJECT, { limit: 1 })).length === 0)
})
