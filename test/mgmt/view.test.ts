import { describe, expect, it } from '@jest/globals'
import { detail } from '../../lib/instances/view.ts'
import { adminDetail } from '../../lib/mgmt/view.ts'
import { scenarios, theInstance } from '../laws/scenarios.ts'
import { World } from '../sim/world.ts'

describe('managedDetail', () => {
  it('shows the ids of the current server and volume, after a rebuild too', async () => {
    const world = await new World().open()
    await scenarios.rebuild.before(world)
    await world.request(platform => scenarios.rebuild.begin(platform))
    await world.until('rebuild', () => scenarios.rebuild.done(world))
    const instance = await theInstance(world)
    if (!instance) throw new Error('no instance')
    const viewer = { baseUrl: '', project: instance.project, admin: true, now: world.clock.now(), deps: world.platform }
    const { server, volume, ...rest } = adminDetail(instance, detail(instance, viewer), undefined)
    const [serverId] = world.machine.servers.keys()
    expect([server?.id, volume.id]).toEqual([serverId, [...world.machine.volumes.keys()][0]])
    expect(volume.attachments).toEqual([{ server_id: serverId }])
    expect(rest).toMatchObject({ server_id: serverId, volume_id: volume.id })
  })
})
