import { expect, it } from '@jest/globals'
import { detail } from '../../lib/instances/view.ts'
import { managedDetail } from '../../lib/mgmt/view.ts'
import { scenarios, theInstance } from '../laws/scenarios.ts'
import { World } from '../sim/world.ts'

it('the management names the machine parts that there are, after a rebuild too', async () => {
  const world = await new World().open()
  await scenarios.rebuild.before(world)
  await world.request(platform => scenarios.rebuild.begin(platform))
  await world.until('rebuild', () => scenarios.rebuild.done(world))
  const instance = await theInstance(world)
  if (!instance) throw new Error('no instance')
  const viewer = { base: '', project: instance.project, admin: true, now: world.clock.now() }
  const { server, volume, ...shown } = managedDetail(instance, detail(instance, viewer), undefined)
  const [machine] = world.machine.servers.keys()
  expect([server?.id, volume.id]).toEqual([machine, [...world.machine.volumes.keys()][0]])
  expect(volume.attachments).toEqual([{ server_id: machine }])
  expect(shown).toMatchObject({ server_id: machine, volume_id: volume.id })
})
