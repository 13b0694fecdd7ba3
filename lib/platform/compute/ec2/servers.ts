import type { Instance } from '@aws-sdk/client-ec2'
import type { Compute, ServerAccess, ServerSpec, Wish } from '../compute.ts'
import type { Addresses } from './addresses.ts'
import { instanceType } from './flavors.ts'
import type { Groups } from './groups.ts'
import { attached, factsOf, launched, machineOf, refit, start, stateOf, stop, terminate } from './machines.ts'
import { admitted } from './networks.ts'
import type { Note } from './notes.ts'
import type { Places } from './places.ts'
import type { Owned } from './tags.ts'
import { orFault, SETTLE_MS, type Tools } from './tools.ts'
import type { Volumes } from './volumes.ts'

type Servers = Required<
  Pick<Compute, 'createServer' | 'deleteServer' | 'changeServer' | 'rebootServer' | 'changeAccess'>
>

interface Parts {
  places: Places
  volumes: Volumes
  groups: Groups
  addresses: Addresses
}

const GONE = { status: 'GONE' } as const

/** Machines: an instance of EC2 each, with a security group and, where it is public, an address of its own. */
export function ec2Servers(tools: Tools, { places, volumes, groups, addresses }: Parts): Servers {
  const { tell, notes, clock, portOf } = tools
  const isRecent = ({ asked = 0 }: Note) => clock.now() - asked < SETTLE_MS

  /** A public address, or none, as the access says; the note as it is then. */
  async function addressed(of: Owned, access: ServerAccess | undefined, note: Note): Promise<Note> {
    if (access?.is_public) {
      const address = await addresses.ensure(of)
      return note.address?.id === address.id ? note : notes.write(of, now => ({ ...now, address }))
    }
    if (!note.address) return note
    await addresses.release(of)
    return notes.write(of, ({ address: _, ...now }) => now)
  }

  /** The running machine of a spec, with all that belongs to it; undefined until its volume can be attached. */
  async function build(spec: ServerSpec, known: Note): Promise<void> {
    const port = portOf(spec.datastore.manager)
    const volume = await volumes.find({ ...spec, name: spec.volume })
    const found = await machineOf(tools, spec, known)
    if (!found && known.id !== undefined) {
      return tell(spec, isRecent(known) ? { status: 'BUILD' } : factsOf(undefined, known, port))
    }
    // The volume is on its way, or still with the machine before: this will be asked again.
    if (!volume || (!found && volume.State !== 'available')) return
    const note = await addressed(spec, spec.access, known)
    const machine = found ?? (await launch(spec, port, volume))
    const state = stateOf(machine)
    if (state === 'stopped') await start(tools, machine)
    const whole = state === 'running' && (await attached(tools, machine, volume))
    if (whole && note.address) await addresses.lead(spec, machine.InstanceId ?? '')
    // The agent's certificate is for these addresses: they are told while it starts.
    await tell(
      spec,
      factsOf(state === 'stopped' ? { ...machine, State: { Name: 'pending' } } : machine, note, port, whole),
    )
  }

  async function launch(
    spec: ServerSpec,
    port: number,
    volume: Parameters<typeof launched>[1]['volume'],
  ): Promise<Instance> {
    const place = await places.inZone(volume.AvailabilityZone)
    const networks = admitted(spec.access, await places.networks())
    const group = await groups.ensure(spec, place.vpc, port, networks)
    return launched(tools, { spec, volume, place, group, root: await places.root() })
  }

  /** A change of the machine by its wish: carried out once `work` says so. */
  async function changing(spec: Wish, work: (machine: Instance, note: Note) => Promise<boolean>): Promise<void> {
    const note = await notes.read(spec)
    if (!note || note.buried) return
    const { wish } = spec
    const machine = await machineOf(tools, spec, note)
    const port = note.port ?? 0
    if (!machine && isRecent(note)) return
    if (!machine || OVER.includes(stateOf(machine))) return tell(spec, factsOf(machine, { ...note, wish }, port))
    await orFault(
      async () => {
        if (note.wish !== wish) {
          if (!(await work(machine, note))) return
          await notes.write(spec, ({ doing: _, ...now }) => ({ ...now, wish }))
        }
        await tell(spec, factsOf(machine, (await notes.read(spec)) ?? note, port))
      },
      fault => tell(spec, { ...factsOf(machine, { ...note, wish }, port), fault }),
    )
  }

  /**
   * Whether the machine has been stopped, made what it shall be, and started. How far it is stands in the note before it
   * goes further, so that no repetition stops what was just started.
   */
  async function cycled(
    spec: Wish,
    machine: Instance,
    note: Note,
    change: Parameters<typeof refit>[2],
  ): Promise<boolean> {
    const { wish } = spec
    const phase = note.doing?.wish === wish ? note.doing.phase : undefined
    const state = stateOf(machine)
    if (phase === 'starting') {
      if (state === 'stopped') await start(tools, machine)
      return state === 'running'
    }
    if (phase === undefined) await notes.write(spec, now => ({ ...now, doing: { wish, phase: 'stopping' } }))
    if (state === 'running') await stop(tools, machine)
    if (state === 'stopped') {
      await refit(tools, machine, change)
      await notes.write(spec, now => ({ ...now, doing: { wish, phase: 'starting' } }))
      await start(tools, machine)
    }
    return false
  }

  return {
    async createServer(spec) {
      const known = await notes.intended(spec)
      if (known.buried) return tell(spec, GONE)
      const port = portOf(spec.datastore.manager)
      const note = known.port === port ? known : await notes.write(spec, now => ({ ...now, port }))
      await orFault(
        () => build(spec, note),
        fault => tell(spec, { status: 'ERROR', fault }),
      )
    },

    changeServer: spec =>
      changing(spec, async (machine, note) => {
        const { flavor, datastore } = spec
        const fits = !flavor || machine.InstanceType === instanceType(flavor)
        if (fits && !datastore && !note.doing && stateOf(machine) === 'running') return true
        return cycled(spec, machine, note, { ...(flavor && { flavor }), ...(datastore && { datastore }) })
      }),

    // Not EC2's own reboot: nobody could see its end, and a stopped machine starts on other hardware, if its own is ill.
    rebootServer: spec => changing(spec, (machine, note) => cycled(spec, machine, note, {})),

    changeAccess: spec =>
      changing(spec, async (machine, note) => {
        const { access } = spec
        const networks = admitted(access, await places.networks())
        await groups.ensure(spec, machine.VpcId ?? '', note.port ?? 0, networks)
        const now = await addressed(spec, access, note)
        if (now.address) await addresses.lead(spec, machine.InstanceId ?? '')
        return true
      }),

    async deleteServer(spec) {
      const note = await notes.write(spec, now => ({ ...now, buried: true }))
      if (note.asked === undefined) return tell(spec, GONE)
      const machine = await machineOf(tools, spec, note)
      if (!machine && isRecent(note) && !note.removed) return
      if (machine && stateOf(machine) !== 'terminated') {
        await terminate(tools, machine)
        await notes.write(spec, now => ({ ...now, removed: true }))
        const now = stateOf(await machineOf(tools, spec, note))
        if (now !== '' && now !== 'terminated') return
      }
      await addresses.release(spec)
      if (await groups.removed(spec)) await tell(spec, GONE)
    },
  }
}

/** States from which there is no way back. */
const OVER = ['shutting-down', 'terminated']
