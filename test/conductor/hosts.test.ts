import { beforeEach, describe, expect, it } from '@jest/globals'
import { registerHost } from '../../lib/conductor/hosts.ts'
import { HOSTS_PROJECT, hostRef, hosts, hostUse } from '../../lib/model/host.ts'
import { type Instance, instances } from '../../lib/model/instance.ts'
import { memoryInUse } from '../../lib/model/placement.ts'
import type { Change } from '../../lib/ports/store.ts'
import { scenarios, theInstance } from '../laws/scenarios.ts'
import { hostReport } from '../sim/hosts.ts'
import { HOST_ID } from '../sim/names.ts'
import { SIM_DATASTORES, World } from '../sim/world.ts'

const reportOf = (ramMb: number) => hostReport(SIM_DATASTORES, ramMb)

describe('a host', () => {
  let world: World
  beforeEach(async () => {
    world = await new World().open()
  })

  let sequence = 0
  const register = (ramMb: number, isStart = false) =>
    registerHost(world.platform, 'b', reportOf(ramMb), isStart ? {} : { sequence: ++sequence })
  const record = async () => (await hosts.get(world.store, HOSTS_PROJECT, 'b'))!

  it('is recorded with what it has, and due when its lease ends', async () => {
    await register(4_096, true)
    const now = world.clock.now()
    const { body, due } = await record()
    expect(body).toMatchObject({ id: 'b', state: 'active', ramMb: 4_096, lastReport: now, leaseMs: 20_000 })
    expect(body.engines['postgresql']).toContain('18')
    expect(due).toBe(now + 20_000)
  })

  it('keeps its state and its silence when it reports, and is then due at once', async () => {
    await register(4_096, true)
    const item = await record()
    const silent = { ...item.body, state: 'draining' as const, silentSince: item.body.lastReport }
    await world.store.transact([hosts.replace(item, silent, { due: undefined })])
    await world.clock.advance(60_000)
    await register(8_192)
    const { body, due } = await record()
    expect(body).toEqual({ ...silent, ramMb: 8_192, lastReport: world.clock.now(), sequence })
    expect(due).toBe(world.clock.now())
  })

  it('is as its latest report says: one that comes after a later one is ignored, over a start too', async () => {
    await register(4_096)
    await register(8_192)
    await register(8_192, true)
    sequence -= 2
    expect([await register(4_096), (await record()).body.ramMb]).toEqual([false, 8_192])
  })

  it('that was removed is ignored until it is started again', async () => {
    await register(4_096, true)
    const item = await record()
    await world.store.transact([hosts.replace(item, { ...item.body, state: 'removed' })])
    expect([await register(4_096), (await record()).body.state]).toEqual([false, 'removed'])
    expect([await register(4_096, true), (await record()).body.state]).toEqual([true, 'active'])
  })
})

describe('the first registration of the default host', () => {
  /** Makes the world what it was before there were several hosts. */
  async function forgetHosts({ store }: World): Promise<void> {
    const host = (await hosts.get(store, HOSTS_PROJECT, HOST_ID))!
    const use = await hostUse.get(store, HOSTS_PROJECT, HOST_ID)
    const changes: Change[] = [hosts.remove(host), ...(use ? [hostUse.remove(use)] : [])]
    for (const item of (await instances.all(store, { limit: 100 })).items) {
      const { host: _, ...body } = item.body
      changes.push(instances.replace(item, body, { subject: undefined }))
    }
    await store.transact(changes)
  }

  const onHost = async (world: World) =>
    (await instances.ofSubject(world.store, hostRef(HOST_ID), { limit: 10 })).map(({ body }) => body.id)
  const inUse = async (world: World) => [...(await memoryInUse(world.store))]

  async function worldWithInstance(change: Partial<Instance> = {}): Promise<World> {
    const world = await new World().open()
    await scenarios.restart.before(world)
    const [item] = (await instances.all(world.store, { limit: 1 })).items
    await world.store.transact([instances.replace(item!, { ...item!.body, ...change })])
    await forgetHosts(world)
    return world
  }

  it('gives it the instances that name no host, together with their memory, once', async () => {
    const world = await worldWithInstance()
    await registerHost(world.platform, 'other', reportOf(4_096))
    expect(await onHost(world)).toEqual([])
    for (let count = 0; count < 2; count++) {
      await registerHost(world.platform, HOST_ID, reportOf(4_096))
      expect(await inUse(world)).toEqual([[HOST_ID, 512]])
      const instance = await theInstance(world)
      expect([instance?.host, await onHost(world)]).toEqual([HOST_ID, [instance?.id]])
    }
  })

  it('counts no memory of an instance that has returned its quota', async () => {
    const world = await worldWithInstance({ quotaReleased: true })
    await registerHost(world.platform, HOST_ID, reportOf(4_096))
    expect([await inUse(world), (await onHost(world)).length]).toEqual([[], 1])
  })

  it('goes on after a crash, and counts what a resize under way has reserved', async () => {
    const world = await new World().open()
    await scenarios.resize_flavor.before(world)
    await world.request(platform => scenarios.resize_flavor.begin(platform))
    await forgetHosts(world)
    world.crashAt({ effect: world.effects + 1, when: 'after' })
    const register = () => world.request(platform => registerHost(platform, HOST_ID, reportOf(4_096)))
    await register()
    expect(await hosts.get(world.store, HOSTS_PROJECT, HOST_ID)).toBeUndefined()
    await register()
    expect(await inUse(world)).toEqual([[HOST_ID, 1_024]])
    await world.until('end', () => scenarios.resize_flavor.done(world))
    expect(await inUse(world)).toEqual([[HOST_ID, 1_024]])
  })
})
