import type { Instance, Volume } from '@aws-sdk/client-ec2'
import type { ChangeRequest, Compute, ServerAccess, ServerSpec } from '../../../ports/compute.ts'
import { asFault, type Ec2Context, GONE } from './context.ts'
import type { ElasticIps } from './elastic-ips.ts'
import { instanceType } from './flavors.ts'
import type { Intent } from './intents.ts'
import {
  ensureAttached,
  findMachine,
  launchMachine,
  machineStateOf,
  modifyStopped,
  start,
  stateOf,
  stop,
  terminate,
} from './machines.ts'
import { ingressRules } from './networks.ts'
import type { Placement } from './placement.ts'
import type { SecurityGroups } from './security-groups.ts'
import type { TaggedPart } from './tags.ts'
import type { Ec2Volumes } from './volumes.ts'

interface Parts {
  placement: Placement
  volumes: Pick<Ec2Volumes, 'find'>
  groups: SecurityGroups
  addresses: ElasticIps
}

/** States from which a machine never runs again. */
const ENDED_STATES = ['shutting-down', 'terminated']

/** Machines: an instance of EC2 each, with a security group and, where it is public, an address of its own. */
export class Ec2Servers {
  readonly #context: Ec2Context
  readonly #parts: Parts

  constructor(context: Ec2Context, parts: Parts) {
    this.#context = context
    this.#parts = parts
  }

  async create(spec: ServerSpec): Promise<void> {
    const { intents, reportState, portOf } = this.#context
    const existing = await intents.recordIntent(spec)
    if (existing.deleted) return reportState(spec, GONE)
    const port = portOf(spec.datastore.manager)
    const intent = existing.port === port ? existing : await intents.write(spec, latest => ({ ...latest, port }))
    await asFault(
      () => this.#build(spec, intent),
      fault => reportState(spec, { status: 'ERROR', fault }),
    )
  }

  change(spec: Parameters<Compute['changeServer']>[0]): Promise<void> {
    return this.#applyChange(spec, async (machine, intent) => {
      const { flavor, datastore } = spec
      const fits = !flavor || machine.InstanceType === instanceType(flavor)
      if (fits && !datastore && !intent.inProgress && stateOf(machine) === 'running') return true
      return this.#stopModifyStart(spec, machine, intent, {
        ...(flavor && { flavor }),
        ...(datastore && { datastore }),
      })
    })
  }

  /** Not EC2's own reboot: its end cannot be observed, and a stopped machine starts on other, healthy hardware. */
  reboot(spec: ChangeRequest): Promise<void> {
    return this.#applyChange(spec, (machine, intent) => this.#stopModifyStart(spec, machine, intent, {}))
  }

  changeAccess(spec: ChangeRequest & { access: ServerAccess }): Promise<void> {
    const { placement, groups, addresses } = this.#parts
    return this.#applyChange(spec, async (machine, intent) => {
      const { access } = spec
      const networks = ingressRules(access, await placement.networks())
      await groups.ensure(spec, machine.VpcId ?? '', intent.port ?? 0, networks)
      const { address } = await this.#ensureAddress(spec, access, intent)
      if (address) await addresses.associate(spec, machine.InstanceId ?? '')
      return true
    })
  }

  async delete(spec: TaggedPart): Promise<void> {
    const { intents, reportState, isRecent } = this.#context
    const { addresses, groups } = this.#parts
    const intent = await intents.write(spec, latest => ({ ...latest, deleted: true }))
    if (intent.requestedAt === undefined) return reportState(spec, GONE)
    const machine = await findMachine(this.#context, spec, intent)
    if (!machine && isRecent(intent) && !intent.removed) return
    if (machine && stateOf(machine) !== 'terminated') {
      await terminate(this.#context, machine)
      await intents.write(spec, latest => ({ ...latest, removed: true }))
      const state = stateOf(await findMachine(this.#context, spec, intent))
      if (state !== '' && state !== 'terminated') return
    }
    await addresses.release(spec)
    if (await groups.delete(spec)) await reportState(spec, GONE)
  }

  /** Takes the machine of a spec, and all that belongs to it, one step closer to running. */
  async #build(spec: ServerSpec, existing: Intent): Promise<void> {
    const { reportState, portOf, isRecent } = this.#context
    const port = portOf(spec.datastore.manager)
    const volume = await this.#parts.volumes.find({ ...spec, name: spec.volume })
    const running = await findMachine(this.#context, spec, existing)
    if (!running && existing.id !== undefined) {
      return reportState(spec, isRecent(existing) ? { status: 'BUILD' } : machineStateOf(undefined, existing, port))
    }
    // The volume is being created, or still attached to the previous machine: the saga repeats this call.
    if (!volume || (!running && volume.State !== 'available')) return
    const intent = await this.#ensureAddress(spec, spec.access, existing)
    const machine = running ?? (await this.#launch(spec, port, volume))
    const state = stateOf(machine)
    if (state === 'stopped') await start(this.#context, machine)
    const ready = state === 'running' && (await ensureAttached(this.#context, machine, volume))
    if (ready && intent.address) await this.#parts.addresses.associate(spec, machine.InstanceId ?? '')
    // The addresses are reported while it starts: the agent's certificate is for them.
    const started = state === 'stopped' ? { ...machine, State: { Name: 'pending' as const } } : machine
    await reportState(spec, machineStateOf(started, intent, port, ready))
  }

  async #launch(spec: ServerSpec, port: number, volume: Volume): Promise<Instance> {
    const { placement, groups } = this.#parts
    const subnet = await placement.inZone(volume.AvailabilityZone)
    const networks = ingressRules(spec.access, await placement.networks())
    const group = await groups.ensure(spec, subnet.vpc, port, networks)
    return launchMachine(this.#context, { spec, volume, subnet, group, root: await placement.root() })
  }

  /** Allocates or releases the public address, as the access requires. Returns the new intent. */
  async #ensureAddress(part: TaggedPart, access: ServerAccess | undefined, intent: Intent): Promise<Intent> {
    const { intents } = this.#context
    const { addresses } = this.#parts
    if (access?.is_public) {
      const address = await addresses.ensure(part)
      return intent.address?.id === address.id ? intent : intents.write(part, latest => ({ ...latest, address }))
    }
    if (!intent.address) return intent
    await addresses.release(part)
    return intents.write(part, ({ address: _, ...latest }) => latest)
  }

  /** Changes the machine once for the request's `changeId`; the change is done when `work` resolves to true. */
  async #applyChange(
    spec: ChangeRequest,
    work: (machine: Instance, intent: Intent) => Promise<boolean>,
  ): Promise<void> {
    const { intents, reportState, isRecent } = this.#context
    const intent = await intents.read(spec)
    if (!intent || intent.deleted) return
    const { changeId } = spec
    const machine = await findMachine(this.#context, spec, intent)
    const port = intent.port ?? 0
    if (!machine && isRecent(intent)) return
    if (!machine || ENDED_STATES.includes(stateOf(machine)))
      return reportState(spec, machineStateOf(machine, { ...intent, changeId }, port))
    await asFault(
      async () => {
        if (intent.changeId !== changeId) {
          if (!(await work(machine, intent))) return
          await intents.write(spec, ({ inProgress: _, ...latest }) => ({ ...latest, changeId }))
        }
        await reportState(spec, machineStateOf(machine, (await intents.read(spec)) ?? intent, port))
      },
      fault => reportState(spec, { ...machineStateOf(machine, { ...intent, changeId }, port), fault }),
    )
  }

  /**
   * Stops, modifies and starts the machine; resolves to true once it runs again. Each phase is recorded before the next
   * one begins, so that a repeated call does not stop a machine that was just started.
   */
  async #stopModifyStart(
    spec: ChangeRequest,
    machine: Instance,
    intent: Intent,
    change: Parameters<typeof modifyStopped>[2],
  ): Promise<boolean> {
    const { intents } = this.#context
    const { changeId } = spec
    const recordPhase = (phase: 'stopping' | 'starting') =>
      intents.write(spec, latest => ({ ...latest, inProgress: { changeId, phase } }))
    const phase = intent.inProgress?.changeId === changeId ? intent.inProgress.phase : undefined
    const state = stateOf(machine)
    if (phase === 'starting') {
      if (state === 'stopped') await start(this.#context, machine)
      return state === 'running'
    }
    if (phase === undefined) await recordPhase('stopping')
    if (state === 'running') await stop(this.#context, machine)
    if (state === 'stopped') {
      await modifyStopped(this.#context, machine, change)
      await recordPhase('starting')
      await start(this.#context, machine)
    }
    return false
  }
}
