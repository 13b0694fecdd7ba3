import { describe, expect, it } from '@jest/globals'
import { hasEnded, type SagaRecord } from '../../lib/kit/saga/saga.ts'
import { serverOf, taskOf, volumeOf } from '../../lib/model/instance.ts'
import { statusOf } from '../../lib/model/instance-status.ts'
import { recordState } from '../../lib/platform/machine-state.ts'
import type { MachineState } from '../../lib/ports/compute.ts'
import { sendRequest } from '../sim/api.ts'
import { HOST_ID, hostTopic } from '../sim/names.ts'
import { World } from '../sim/world.ts'
import { PROJECT, type Scenario, scenarios, theInstance, usedQuota } from './scenarios.ts'
import { operationId, operationRecord, steer } from './steering.ts'

type Name = 'resize_flavor' | 'upgrade' | 'resize_volume'
const CHANGES = (['resize_flavor', 'upgrade', 'resize_volume'] as const).map(name => ({
  name,
  part: name === 'resize_volume' ? ('volume' as const) : ('server' as const),
}))

/** Starts a change whose machine gets no message about it. */
async function startUnreachable(name: Name): Promise<{ world: World; id: string }> {
  const world = await new World().open()
  const scenario: Scenario = scenarios[name]
  await scenario.before(world)
  world.droppedTopics.add(hostTopic(HOST_ID))
  await world.request(platform => scenario.begin(platform))
  return { world, id: await operationId(world, name) }
}

/** Records a state of the part that was seen from outside, newer than all reports of the machine. */
async function observe(world: World, part: 'server' | 'volume', state: MachineState): Promise<void> {
  const instance = (await theInstance(world))!
  const name = part === 'server' ? serverOf(instance) : volumeOf(instance)
  await world.clock.advance(1)
  const report = { project: PROJECT, instance: instance.id, name, state, sequence: world.clock.now() }
  expect(await recordState(world.store, world.clock.now(), report)).toBe(true)
}

const untilStatus = (world: World, id: string, status: SagaRecord['status']) =>
  world.until(status, async () => (await operationRecord(world, id)).status === status, 30 * 60_000)

async function sendToInstance(world: World, method: string, path: string, body: unknown, roles = 'member') {
  const { id } = (await theInstance(world))!
  return sendRequest(world, { method, path: path.replace('ID', id), body, roles })
}
const REBUILD = { rebuild: { image_id: '00000000-0000-4000-8000-000000000000' } }

describe.each(CHANGES)('$name of an instance whose $part is lost meanwhile', ({ name, part }) => {
  it('is rolled back with the reported fault, and its quota is returned', async () => {
    const { world, id } = await startUnreachable(name)
    await observe(world, part, { status: 'ERROR', fault: 'ended by its cloud', changeId: id })
    await untilStatus(world, id, 'UNDOING')
    await observe(world, part, { status: 'ERROR', fault: 'ended by its cloud', changeId: `${id}/undo` })
    await untilStatus(world, id, 'FAILED')
    const instance = (await theInstance(world))!
    expect([taskOf(instance).task, instance.operation, instance.fault?.message]).toEqual([
      'NONE',
      undefined,
      'ended by its cloud',
    ])
    if (part === 'server') expect(statusOf(instance)).toBe('ERROR')
    expect(await usedQuota(world)).toEqual({ instances: 1, ram: 512, volumes: 1 })
  })

  it('fails if the loss is reported, and its quota is returned', async () => {
    const { world, id } = await startUnreachable(name)
    await observe(world, part, { status: 'GONE' })
    await untilStatus(world, id, 'FAILED')
    expect((await theInstance(world))?.fault?.message).toBe(`The ${part} of the instance is gone.`)
    expect(await usedQuota(world)).toEqual({ instances: 1, ram: 512, volumes: 1 })
  })
})

it('an instance without its server accepts a rebuild and refuses what would wait for the server', async () => {
  const world = await new World().open()
  await scenarios.upgrade.before(world)
  // A rebuild that is cancelled once the old server has gone.
  await world.request(platform => scenarios.rebuild.begin(platform))
  await world.until('server', async () => world.machine.servers.size === 0)
  const id = await operationId(world, 'rebuild')
  expect((await world.request(platform => steer(platform, 'cancel', id)))?.[0]).toBe(202)
  await world.until('end', async () => ((await world.sagas()) as SagaRecord[]).every(hasEnded))
  expect((await theInstance(world))?.server?.status).toBe('GONE')
  const refused: [string, string, unknown, string?][] = [
    ['PUT', '/instances/ID', { instance: { datastore_version: '18' } }],
    ['PUT', '/instances/ID', { instance: { access: { is_public: true } } }],
    ['POST', '/mgmt/instances/ID/action', { reboot: {} }, 'admin'],
    ['POST', '/mgmt/instances/ID/action', { stop: {} }, 'admin'],
  ]
  for (const [method, path, body, roles] of refused) {
    expect([body, (await sendToInstance(world, method, path, body, roles))?.status]).toEqual([body, 422])
  }
  expect((await sendToInstance(world, 'POST', '/mgmt/instances/ID/action', REBUILD, 'admin'))?.status).toBe(202)
  await world.until('rebuilt', async () => statusOf((await theInstance(world))!) === 'ACTIVE')
})
