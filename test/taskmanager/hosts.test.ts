import { beforeEach, describe, expect, it } from '@jest/globals'
import { registerHost } from '../../lib/conductor/hosts.ts'
import { HOSTS_PROJECT, hosts } from '../../lib/model/host.ts'
import { statusOf } from '../../lib/model/instance-status.ts'
import type { Platform } from '../../lib/platform/platform.ts'
import { processHost } from '../../lib/taskmanager/hosts.ts'
import { scenarios, theInstance } from '../laws/scenarios.ts'
import { hostReport } from '../sim/hosts.ts'
import { SIM_DATASTORES, World } from '../sim/world.ts'

describe('a host that is due', () => {
  let world: World
  beforeEach(async () => {
    world = await new World(1, { hosts: [{ id: 'a', ramMb: 4_096 }] }).open()
    await scenarios.restart.before(world)
  })

  const record = async () => (await hosts.get(world.store, HOSTS_PROJECT, 'a'))!
  let sequence = 0
  const report = () => registerHost(world.platform, 'a', hostReport(SIM_DATASTORES, 4_096), { sequence: ++sequence })
  const process = async (platform: Platform = world.platform) => processHost(platform, await record())
  const status = async () => statusOf((await theInstance(world))!)

  /** The platform of a process that is overtaken by `other` just before it first changes an instance. */
  function overtakenBy(other: () => Promise<unknown>): Platform {
    let pending = true
    const { store } = world.platform
    return {
      ...world.platform,
      store: {
        ...store,
        async transact(changes) {
          if (pending && changes.some(({ key }) => key.id.startsWith('instance#'))) {
            pending = false
            await other()
          }
          await store.transact(changes)
        },
      },
    }
  }

  it('is left alone as long as its report is valid', async () => {
    const before = await record()
    await world.clock.advance(10_000)
    await process()
    expect(await record()).toEqual(before)
  })

  it('is silent after its lease, and is looked at again while it is', async () => {
    await world.clock.advance(60_000)
    await process()
    const { body, due } = await record()
    expect([body.silentSince, due, await status()]).toEqual([body.lastReport, world.clock.now() + 30_000, 'ERROR'])
    const { version } = await record()
    await process()
    expect([(await theInstance(world))?.fault?.created, (await record()).version > version]).toEqual([
      world.clock.now(),
      true,
    ])
  })

  it('is silent if its report was recorded before the clock was set back, until it reports', async () => {
    world.clock.setBack(86_400_000)
    await process()
    expect(await status()).toBe('ERROR')
    await report()
    await process()
    expect(await status()).toBe('ACTIVE')
  })

  it('marks no instance with the silence of a host that reports meanwhile', async () => {
    await world.clock.advance(60_000)
    await process(overtakenBy(report))
    expect(await status()).toBe('ACTIVE')
    await process()
    const { body, due } = await record()
    expect([body.silentSince, due]).toEqual([undefined, body.lastReport + 20_000])
    expect((await theInstance(world))?.fault).toBeUndefined()
  })

  it('ends no silence of a host that has fallen silent again', async () => {
    await world.clock.advance(60_000)
    await process()
    await report()
    const overtaken = overtakenBy(async () => {
      await world.clock.advance(60_000)
      await process()
    })
    await process(overtaken)
    expect([await status(), (await record()).body.silentSince]).toEqual(['ERROR', (await record()).body.lastReport])
  })
})
