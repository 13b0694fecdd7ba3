import { describe, expect, it } from '@jest/globals'
import { serverOf, statusOf, volumeOf } from '../../lib/instances/instance.ts'
import { isOver, type SagaRecord } from '../../lib/kit/saga/saga.ts'
import type { Facts } from '../../lib/platform/compute/compute.ts'
import { observe } from '../../lib/platform/compute/facts.ts'
import { asked } from '../sim/api.ts'
import { HOST_ID, hostTopic } from '../sim/names.ts'
import { World } from '../sim/world.ts'
import { PROJECT, type Scenario, scenarios, theInstance, usedQuota } from './scenarios.ts'
import { operationId, recordOf, steered } from './steering.ts'

type Name = 'resize_flavor' | 'upgrade' | 'resize_volume'
const CHANGES = (['resize_flavor', 'upgrade', 'resize_volume'] as const).map(name => ({
  name,
  part: name === 'resize_volume' ? ('volume' as const) : ('server' as const),
}))

/** A change that its machine, or what it runs on, hears nothing of. */
async function begun(name: Name): Promise<{ world: World; id: string }> {
  const world = await new World().open()
  const scenario: Scenario = scenarios[name]
  await scenario.before(world)
  world.deaf.add(hostTopic(HOST_ID))
  await world.request(platform => scenario.begin(platform))
  return { world, id: await operationId(world, name) }
}

/** What is seen of the part from outside, later than all that the machine told. */
async function seen(world: World, part: 'server' | 'volume', facts: Facts): Promise<void> {
  const instance = (await theInstance(world))!
  const name = part === 'server' ? serverOf(instance) : volumeOf(instance)
  await world.clock.advance(1)
  const report = { project: PROJECT, instance: instance.id, name, facts, sent: world.clock.now() }
  expect(await observe(world.store, world.clock.now(), report)).toBe(true)
}

const stands = (world: World, id: string, status: SagaRecord['status']) =>
  world.until(status, async () => (await recordOf(world, id)).status === status, 30 * 60_000)

async function act(world: World, method: string, path: string, body: unknown, roles = 'member') {
  const { id } = (await theInstance(world))!
  return asked(world, { method, path: path.replace('ID', id), body, roles })
}
const REBUILD = { rebuild: { image_id: '00000000-0000-4000-8000-000000000000' } }

describe.each(CHANGES)('$name of an instance whose $part is lost meanwhile', ({ name, part }) => {
  it('ends with what is known of it, and gives the quota back', async () => {
    const { world, id } = await begun(name)
    await seen(world, part, { status: 'ERROR', fault: 'ended by its cloud', wish: id })
    await stands(world, id, 'UNDOING')
    await seen(world, part, { status: 'ERROR', fault: 'ended by its cloud', wish: `${id}/undo` })
    await stands(world, id, 'FAILED')
    const instance = (await theInstance(world))!
    expect([instance.task, instance.operation, instance.fault?.message]).toEqual([
      'NONE',
      undefined,
      'ended by its cloud',
    ])
    if (part === 'server') expect(statusOf(instance)).toBe('ERROR')
    expect(await usedQuota(world)).toEqual({ instances: 1, ram: 512, volumes: 1 })
  })

  it('ends where it is known to be gone', async () => {
    const { world, id } = await begun(name)
    await seen(world, part, { status: 'GONE' })
    await stands(world, id, 'FAILED')
    expect((await theInstance(world))?.fault?.message).toBe(`The ${part} of the instance is gone.`)
    expect(await usedQuota(world)).toEqual({ instances: 1, ram: 512, volumes: 1 })
  })
})

it('an instance without its server takes a rebuild, and nothing that would wait for the server', async () => {
  const world = await new World().open()
  await scenarios.upgrade.before(world)
  // A rebuild that is cancelled once the old server has gone.
  await world.request(platform => scenarios.rebuild.begin(platform))
  await world.until('server', async () => world.machine.servers.size === 0)
  const id = await operationId(world, 'rebuild')
  expect((await world.request(platform => steered(platform, 'cancel', id)))?.[0]).toBe(202)
  await world.until('end', async () => ((await world.sagas()) as SagaRecord[]).every(isOver))
  expect((await theInstance(world))?.server?.status).toBe('GONE')
  const refused: [string, string, unknown, string?][] = [
    ['PUT', '/instances/ID', { instance: { datastore_version: '18' } }],
    ['PUT', '/instances/ID', { instance: { access: { is_public: true } } }],
    ['POST', '/mgmt/instances/ID/action', { reboot: {} }, 'admin'],
    ['POST', '/mgmt/instances/ID/action', { stop: {} }, 'admin'],
  ]
  for (const [method, path, body, roles] of refused) {
    expect([body, (await act(world, method, path, body, roles))?.status]).toEqual([body, 422])
  }
  expect((await act(world, 'POST', '/mgmt/instances/ID/action', REBUILD, 'admin'))?.status).toBe(202)
  await world.until('rebuilt', async () => statusOf((await theInstance(world))!) === 'ACTIVE')
})
