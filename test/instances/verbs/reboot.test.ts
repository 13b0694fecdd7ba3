import { expect, it, jest } from '@jest/globals'
import { Agent } from '../../../guest-agent/agent.ts'
import { scenarios, theInstance } from '../../laws/scenarios.ts'
import { World } from '../../sim/world.ts'

it('a reboot lasts until the database reports again: what it reported before counts no more', async () => {
  const world = await new World().open()
  await scenarios.reboot.before(world)
  await world.clock.advance(1_000)
  const heartbeat = jest.spyOn(Agent.prototype, 'heartbeat').mockImplementation(async () => {})
  await world.request(platform => scenarios.reboot.begin(platform))
  await world.until('reboot', async () => [...world.machine.servers.values()][0]?.changeId !== undefined)
  await world.clock.advance(30_000)
  expect((await theInstance(world))?.operation?.name).toBe('reboot')
  heartbeat.mockRestore()
  for (const { agent } of world.machine.servers.values()) await agent.heartbeat()
  await world.until('end', async () => (await theInstance(world))?.operation === undefined)
  expect((await theInstance(world))?.agentReport?.status).toBe('healthy')
})
