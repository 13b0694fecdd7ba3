import { describe, expect, it } from '@jest/globals'
import type { Compute, MachineState, ServerSpec, VolumeSpec } from '../../lib/ports/compute.ts'

export interface ComputeWorld {
  compute: Compute
  /** Lets the requested changes proceed and time pass. */
  settle(): Promise<void>
  /** How many parts exist, without removed ones. */
  parts(): Promise<{ servers: number; volumes: number }>
}

let count = 0
const MAX_ATTEMPTS = 60

/** What sagas rely on, whatever runs the machines. */
export function computeCases(name: string, open: () => Promise<ComputeWorld>): void {
  describe(`compute: ${name}`, () => {
    const project = 'p1'

    /** The specs of a new instance. */
    function specs() {
      count += 1
      const instance = `00000000-0000-4000-8000-${String(count).padStart(12, '0')}`
      const datastore = { manager: 'postgresql', version: '18' }
      const common = { instance, project, generation: 1 }
      const volume: VolumeSpec = { ...common, name: `volume-${instance}-1`, sizeGb: 1, datastore }
      const userData = JSON.stringify({ instance, generation: 1, secret: 's', enrolUrl: 'https://localhost/enrol' })
      const server: ServerSpec = {
        ...common,
        name: `server-${instance}-1`,
        volume: volume.name,
        flavor: { ramMb: 512, vcpus: 1 },
        datastore,
        userData,
      }
      return { volume, server }
    }

    /** As a saga does: repeats the request until the state is as expected. */
    async function repeatUntil(
      { settle }: ComputeWorld,
      request: () => Promise<void>,
      read: () => Promise<MachineState | undefined>,
      isDone: (state: MachineState | undefined) => boolean,
    ): Promise<MachineState | undefined> {
      for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
        await request()
        await settle()
        const state = await read()
        if (isDone(state)) return state
      }
      throw new Error(`not in time: ${JSON.stringify(await read())}`)
    }

    const active = (state: MachineState | undefined) => state?.status === 'ACTIVE'
    const gone = (state: MachineState | undefined) => state?.status === 'GONE'

    async function create(world: ComputeWorld) {
      const { compute } = world
      const { volume, server } = specs()
      const readVolume = () => compute.volume(project, volume.name)
      const readServer = () => compute.server(project, server.name)
      await repeatUntil(world, () => compute.createVolume(volume), readVolume, active)
      await repeatUntil(world, () => compute.createServer(server), readServer, active)
      return { volume, server, readVolume, readServer }
    }

    it('has no state for parts that nobody requested', async () => {
      const { compute } = await open()
      expect(await compute.volume(project, 'volume-none-1')).toBeUndefined()
      expect(await compute.server(project, 'server-none-1')).toBeUndefined()
    })

    it('creates a volume and a server with an address, once for each name', async () => {
      const world = await open()
      const before = await world.parts()
      const { volume, server, readServer } = await create(world)
      const [address] = (await readServer())?.addresses ?? []
      expect(address).toMatchObject({ address: expect.stringMatching(/^\d+(\.\d+){3}$/), port: 5432, type: 'private' })
      for (const _ of [1, 2, 3]) {
        await world.compute.createVolume(volume)
        await world.compute.createServer(server)
        await world.settle()
      }
      expect((await readServer())?.status).toBe('ACTIVE')
      expect(await world.parts()).toEqual({ servers: before.servers + 1, volumes: before.volumes + 1 })
    })

    it('creates a server as soon as its volume exists', async () => {
      const world = await open()
      const { compute } = world
      const { volume, server } = specs()
      await compute.createServer(server)
      await world.settle()
      expect(active(await compute.server(project, server.name))).toBe(false)
      await repeatUntil(
        world,
        () => compute.createVolume(volume),
        () => compute.volume(project, volume.name),
        active,
      )
      await repeatUntil(
        world,
        () => compute.createServer(server),
        () => compute.server(project, server.name),
        active,
      )
    })

    it('removes both and never creates them again', async () => {
      const world = await open()
      const before = await world.parts()
      const { volume, server, readVolume, readServer } = await create(world)
      await repeatUntil(world, () => world.compute.deleteServer(server), readServer, gone)
      await repeatUntil(world, () => world.compute.deleteVolume(volume), readVolume, gone)
      expect(await world.parts()).toEqual(before)
      await world.compute.createVolume(volume)
      await world.compute.createServer(server)
      await world.settle()
      expect([(await readVolume())?.status, (await readServer())?.status]).toEqual(['GONE', 'GONE'])
      expect(await world.parts()).toEqual(before)
    })

    it('reports a part that never existed as GONE once its removal is requested', async () => {
      const world = await open()
      const { compute } = world
      const { volume, server } = specs()
      await repeatUntil(
        world,
        () => compute.deleteServer(server),
        () => compute.server(project, server.name),
        gone,
      )
      await repeatUntil(
        world,
        () => compute.deleteVolume(volume),
        () => compute.volume(project, volume.name),
        gone,
      )
      await compute.createVolume(volume)
      await world.settle()
      expect((await compute.volume(project, volume.name))?.status).toBe('GONE')
    })

    it('carries out each change once, identified by its changeId', async () => {
      const world = await open()
      const { compute } = world
      const { volume, server, readVolume, readServer } = await create(world)
      const carriedOut = (changeId: string) => (state: MachineState | undefined) => state?.changeId === changeId
      const grow = () => compute.resizeVolume({ ...volume, sizeGb: 3, changeId: 'grow' })
      expect(await repeatUntil(world, grow, readVolume, carriedOut('grow'))).toMatchObject({ status: 'ACTIVE' })
      const change = () => compute.changeServer({ ...server, flavor: { ramMb: 2048, vcpus: 2 }, changeId: 'change' })
      expect(await repeatUntil(world, change, readServer, carriedOut('change'))).toMatchObject({ status: 'ACTIVE' })
      const back = () => compute.changeServer({ ...server, flavor: server.flavor, changeId: 'change/undo' })
      await repeatUntil(world, back, readServer, carriedOut('change/undo'))
      const engine = () =>
        compute.changeServer({ ...server, datastore: { manager: 'postgresql', version: '17' }, changeId: 'engine' })
      await repeatUntil(world, engine, readServer, carriedOut('engine'))
      const reboot = () => compute.rebootServer({ ...server, changeId: 'reboot' })
      expect(await repeatUntil(world, reboot, readServer, carriedOut('reboot'))).toMatchObject({ status: 'ACTIVE' })
      await reboot()
      await compute.createServer(server)
      await world.settle()
      expect(await readServer()).toMatchObject({ status: 'ACTIVE', changeId: 'reboot' })
    })

    it('ignores changes of parts that do not exist', async () => {
      const world = await open()
      const { compute } = world
      const { volume, server } = specs()
      await compute.resizeVolume({ ...volume, changeId: 'w' })
      await compute.changeServer({ ...server, changeId: 'w' })
      await compute.rebootServer({ ...server, changeId: 'w' })
      await world.settle()
      expect(await compute.server(project, server.name)).toBeUndefined()
      expect(await compute.volume(project, volume.name)).toBeUndefined()
    })
  })
}
