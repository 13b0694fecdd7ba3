import { describe, expect, it } from '@jest/globals'
import type { Compute, Facts, ServerSpec, VolumeSpec } from '../../lib/platform/compute/compute.ts'

export interface ComputeWorld {
  compute: Compute
  /** Lets what was asked for go on its way, and time pass. */
  settle(): Promise<void>
  /** What there is, removed things left out. */
  parts(): Promise<{ servers: number; volumes: number }>
}

let count = 0
const LOOKS = 60

/** What sagas rely on, whatever makes the machines. */
export function computeCases(name: string, open: () => Promise<ComputeWorld>): void {
  describe(`compute: ${name}`, () => {
    const project = 'p1'

    /** Names of an instance that no other case has. */
    function specs() {
      count += 1
      const instance = `00000000-0000-4000-8000-${String(count).padStart(12, '0')}`
      const datastore = { manager: 'postgresql', version: '18' }
      const of = { instance, project, generation: 1 }
      const volume: VolumeSpec = { ...of, name: `volume-${instance}-1`, sizeGb: 1, datastore }
      const userData = JSON.stringify({ instance, generation: 1, secret: 's', enrolUrl: 'https://localhost/enrol' })
      const server: ServerSpec = {
        ...of,
        name: `server-${instance}-1`,
        volume: volume.name,
        flavor: { ramMb: 512, vcpus: 1 },
        datastore,
        userData,
      }
      return { volume, server }
    }

    /** As a saga does: asks, looks, and asks again. */
    async function until(
      { settle }: ComputeWorld,
      ask: () => Promise<void>,
      look: () => Promise<Facts | undefined>,
      done: (facts: Facts | undefined) => boolean,
    ): Promise<Facts | undefined> {
      for (let attempt = 0; attempt < LOOKS; attempt++) {
        await ask()
        await settle()
        const facts = await look()
        if (done(facts)) return facts
      }
      throw new Error(`not in time: ${JSON.stringify(await look())}`)
    }

    const active = (facts: Facts | undefined) => facts?.status === 'ACTIVE'
    const gone = (facts: Facts | undefined) => facts?.status === 'GONE'

    async function built(world: ComputeWorld) {
      const { compute } = world
      const { volume, server } = specs()
      const seeVolume = () => compute.volume(project, volume.name)
      const seeServer = () => compute.server(project, server.name)
      await until(world, () => compute.createVolume(volume), seeVolume, active)
      await until(world, () => compute.createServer(server), seeServer, active)
      return { volume, server, seeVolume, seeServer }
    }

    it('knows nothing of what nobody asked for', async () => {
      const { compute } = await open()
      expect(await compute.volume(project, 'volume-none-1')).toBeUndefined()
      expect(await compute.server(project, 'server-none-1')).toBeUndefined()
    })

    it('makes a volume and a server with an address, once for their names', async () => {
      const world = await open()
      const before = await world.parts()
      const { volume, server, seeServer } = await built(world)
      const [address] = (await seeServer())?.addresses ?? []
      expect(address).toMatchObject({ address: expect.stringMatching(/^\d+(\.\d+){3}$/), port: 5432, type: 'private' })
      for (const _ of [1, 2, 3]) {
        await world.compute.createVolume(volume)
        await world.compute.createServer(server)
        await world.settle()
      }
      expect((await seeServer())?.status).toBe('ACTIVE')
      expect(await world.parts()).toEqual({ servers: before.servers + 1, volumes: before.volumes + 1 })
    })

    it('makes a server as soon as there is its volume', async () => {
      const world = await open()
      const { compute } = world
      const { volume, server } = specs()
      await compute.createServer(server)
      await world.settle()
      expect(active(await compute.server(project, server.name))).toBe(false)
      await until(
        world,
        () => compute.createVolume(volume),
        () => compute.volume(project, volume.name),
        active,
      )
      await until(
        world,
        () => compute.createServer(server),
        () => compute.server(project, server.name),
        active,
      )
    })

    it('removes both, and never makes them again', async () => {
      const world = await open()
      const before = await world.parts()
      const { volume, server, seeVolume, seeServer } = await built(world)
      await until(world, () => world.compute.deleteServer(server), seeServer, gone)
      await until(world, () => world.compute.deleteVolume(volume), seeVolume, gone)
      expect(await world.parts()).toEqual(before)
      await world.compute.createVolume(volume)
      await world.compute.createServer(server)
      await world.settle()
      expect([(await seeVolume())?.status, (await seeServer())?.status]).toEqual(['GONE', 'GONE'])
      expect(await world.parts()).toEqual(before)
    })

    it('says of what was never made that it is gone, once it is told to remove it', async () => {
      const world = await open()
      const { compute } = world
      const { volume, server } = specs()
      await until(
        world,
        () => compute.deleteServer(server),
        () => compute.server(project, server.name),
        gone,
      )
      await until(
        world,
        () => compute.deleteVolume(volume),
        () => compute.volume(project, volume.name),
        gone,
      )
      await compute.createVolume(volume)
      await world.settle()
      expect((await compute.volume(project, volume.name))?.status).toBe('GONE')
    })

    it('carries changes out by the name of the wish, each once', async () => {
      const world = await open()
      const { compute } = world
      const { volume, server, seeVolume, seeServer } = await built(world)
      const wished = (wish: string) => (facts: Facts | undefined) => facts?.wish === wish
      const grow = () => compute.resizeVolume({ ...volume, sizeGb: 3, wish: 'grow' })
      expect(await until(world, grow, seeVolume, wished('grow'))).toMatchObject({ status: 'ACTIVE' })
      const change = () => compute.changeServer({ ...server, flavor: { ramMb: 2048, vcpus: 2 }, wish: 'change' })
      expect(await until(world, change, seeServer, wished('change'))).toMatchObject({ status: 'ACTIVE' })
      const back = () => compute.changeServer({ ...server, flavor: server.flavor, wish: 'change/undo' })
      await until(world, back, seeServer, wished('change/undo'))
      const engine = () =>
        compute.changeServer({ ...server, datastore: { manager: 'postgresql', version: '17' }, wish: 'engine' })
      await until(world, engine, seeServer, wished('engine'))
      const reboot = () => compute.rebootServer({ ...server, wish: 'reboot' })
      expect(await until(world, reboot, seeServer, wished('reboot'))).toMatchObject({ status: 'ACTIVE' })
      await reboot()
      await compute.createServer(server)
      await world.settle()
      expect(await seeServer()).toMatchObject({ status: 'ACTIVE', wish: 'reboot' })
    })

    it('changes nothing that is not there', async () => {
      const world = await open()
      const { compute } = world
      const { volume, server } = specs()
      await compute.resizeVolume({ ...volume, wish: 'w' })
      await compute.changeServer({ ...server, wish: 'w' })
      await compute.rebootServer({ ...server, wish: 'w' })
      await world.settle()
      expect(await compute.server(project, server.name)).toBeUndefined()
      expect(await compute.volume(project, volume.name)).toBeUndefined()
    })
  })
}
