import { beforeEach, describe, expect, it } from '@jest/globals'
import { observed } from '../../lib/guests/reports.ts'
import { type Instance, instances, serverOf } from '../../lib/instances/instance.ts'
import { detail } from '../../lib/instances/view.ts'
import { managedDetail } from '../../lib/mgmt/view.ts'
import type { Facts } from '../../lib/platform/compute/compute.ts'
import { PROJECT, scenarios, theInstance } from '../laws/scenarios.ts'
import { World } from '../sim/world.ts'

const ENDS = 'The agent of the instance keeps ending.'

let world: World
let sent = 1_000_000
beforeEach(async () => {
  world = await new World().open()
  await world.request(platform => scenarios.create_instance.begin(platform))
  await world.until('instance', () => scenarios.create_instance.done(world))
  await world.clock.advance(3_600_000)
})

async function now(): Promise<Instance> {
  const instance = await theInstance(world)
  if (!instance) throw new Error('no instance')
  return instance
}

/** The daemon tells of the server; answers the instance as it is then. */
async function told(facts: Facts): Promise<Instance> {
  const instance = await now()
  sent += 1
  await observed(world.platform, { project: PROJECT, instance: instance.id, name: serverOf(instance), facts, sent })
  return now()
}

/** An action ended badly. */
async function left(message: string, server?: Instance['server']): Promise<NonNullable<Instance['fault']>> {
  const item = await instances.get(world.store, PROJECT, (await now()).id)
  if (!item) throw new Error('no instance')
  const fault = { message, created: world.clock.now(), details: null }
  await world.store.transact([instances.replace(item, { ...item.body, fault, ...(server && { server }) })])
  return fault
}

describe('the fault of a server', () => {
  it('is of when it was told, and goes when the server is back', async () => {
    const ill = await told({ status: 'ERROR', fault: ENDS })
    expect(ill.fault).toEqual({ message: ENDS, created: world.clock.now(), details: null })
    const back = await told({ status: 'ACTIVE' })
    expect([back.server?.status, back.fault]).toEqual(['ACTIVE', undefined])
    expect(back.server?.addresses).toEqual(ill.server?.addresses)
  })

  it('lasts while the server is not back, from when it was first told', async () => {
    const first = await told({ status: 'ERROR', fault: ENDS })
    await world.clock.advance(60_000)
    expect((await told({ status: 'ERROR', fault: ENDS })).fault).toEqual(first.fault)
    expect((await told({ status: 'ERROR' })).fault).toEqual(first.fault)
    expect((await told({ status: 'SHUTDOWN' })).fault).toEqual(first.fault)
    const other = await told({ status: 'ERROR', fault: 'The machine is gone.' })
    expect(other.fault).toEqual({ message: 'The machine is gone.', created: world.clock.now(), details: null })
    expect((await told({ status: 'ACTIVE' })).fault).toBeUndefined()
    await world.clock.advance(60_000)
    expect((await told({ status: 'ERROR', fault: ENDS })).fault?.created).toBe(world.clock.now())
  })

  it('is not taken for one that an action left, be it for the same reason', async () => {
    const fault = await left('resize failed')
    expect((await told({ status: 'SHUTDOWN' })).fault).toEqual(fault)
    expect((await told({ status: 'ACTIVE' })).fault).toEqual(fault)
    await told({ status: 'ERROR', fault: ENDS })
    // The end of an action tells what became of its server, and its own reason.
    const own = await left(ENDS, { status: 'ERROR', addresses: [] })
    expect((await told({ status: 'ACTIVE' })).fault).toEqual(own)
  })

  it('which is another than the last that an action left leaves that', async () => {
    await told({ status: 'ERROR', fault: ENDS })
    const own = await left('rebuild failed')
    expect((await told({ status: 'ACTIVE' })).fault).toEqual(own)
  })

  it('that runs nevertheless stays, as of a change that failed', async () => {
    const fault = { message: 'no room', created: world.clock.now(), details: null }
    expect((await told({ status: 'ACTIVE', fault: 'no room' })).fault).toEqual(fault)
    expect((await told({ status: 'ACTIVE' })).fault).toEqual(fault)
  })

  it('is shown once, as the instance’s', async () => {
    const instance = await told({ status: 'ERROR', fault: ENDS })
    const viewer = { base: '', project: PROJECT, admin: true, now: world.clock.now() }
    const { fault, ...shown } = detail(instance, viewer)
    expect(fault).toMatchObject({ message: ENDS, details: null })
    expect(JSON.stringify(managedDetail(instance, shown, undefined))).not.toContain(ENDS)
  })
})
