import { computeCases } from '../../../cases/compute.ts'
import { World } from '../../../sim/world.ts'

computeCases('a simulated host', async () => {
  const world = await new World().open()
  return {
    compute: world.platform.compute,
    async settle() {
      const end = world.clock.now() + 250
      await world.until('time', async () => world.clock.now() >= end)
    },
    parts: async () => ({ servers: world.machine.servers.size, volumes: world.machine.volumes.size }),
  }
})
