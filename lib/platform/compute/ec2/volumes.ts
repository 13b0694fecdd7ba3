import {
  CreateVolumeCommand,
  DeleteVolumeCommand,
  DescribeVolumesCommand,
  DescribeVolumesModificationsCommand,
  ModifyVolumeCommand,
  type Volume,
} from '@aws-sdk/client-ec2'
import type { ChangeRequest, MachineState, VolumeSpec } from '../../../ports/compute.ts'
import { asFault, type Ec2Context, GONE } from './context.ts'
import { CloudBusy, CloudFault } from './errors.ts'
import type { Intent } from './intents.ts'
import type { Placement } from './placement.ts'
import { clientToken, partTags, type TaggedPart, tagFilters } from './tags.ts'

const LOST = 'The volume is gone from AWS.'

/** The data of instances: an encrypted EBS volume (gp3) each, which outlives the machines that it is attached to. */
export class Ec2Volumes {
  readonly #context: Ec2Context
  readonly #placement: Placement

  constructor(context: Ec2Context, placement: Placement) {
    this.#context = context
    this.#placement = placement
  }

  /** The volume of that name; undefined if there is none, or if EC2 does not list it yet. */
  async find(part: TaggedPart): Promise<Volume | undefined> {
    const intent = await this.#context.intents.read(part)
    return intent && this.#describe(part, intent)
  }

  async create(spec: VolumeSpec): Promise<void> {
    const { intents, reportState, isRecent } = this.#context
    const intent = await intents.recordIntent(spec)
    if (intent.deleted) return reportState(spec, GONE)
    await asFault(
      async () => {
        const existing = await this.#describe(spec, intent)
        const volume = existing ?? (intent.id === undefined ? await this.#createOnce(spec) : undefined)
        if (!volume && isRecent(intent)) return reportState(spec, { status: 'BUILD' })
        await reportState(spec, volumeStateOf(volume, intent))
      },
      fault => reportState(spec, { status: 'ERROR', fault }),
    )
  }

  async resize(spec: ChangeRequest & { sizeGb: number }): Promise<void> {
    const { intents, reportState } = this.#context
    const { changeId } = spec
    const intent = await intents.read(spec)
    if (!intent || intent.deleted) return
    const volume = await this.#describe(spec, intent)
    if (!volume) return reportState(spec, { status: 'ERROR', fault: LOST, changeId })
    await asFault(
      async () => {
        if (intent.changeId !== changeId && !(await this.#grow(volume, spec.sizeGb))) return
        const done = await intents.write(spec, latest => ({ ...latest, changeId }))
        await reportState(spec, volumeStateOf(volume, done))
      },
      fault => reportState(spec, { ...volumeStateOf(volume, intent), changeId, fault }),
    )
  }

  async delete(spec: TaggedPart): Promise<void> {
    const { client, call, intents, reportState, isRecent } = this.#context
    const intent = await intents.write(spec, latest => ({ ...latest, deleted: true }))
    if (intent.requestedAt === undefined) return reportState(spec, GONE)
    const volume = await this.#describe(spec, intent)
    if (volume && volume.State !== 'deleting') {
      const command = new DeleteVolumeCommand({ VolumeId: volume.VolumeId })
      await call('delete the volume', () => client.send(command), 'InvalidVolume.NotFound')
      await intents.write(spec, latest => ({ ...latest, removed: true }))
      if (await this.#describe(spec, intent)) return
    } else if (volume || (isRecent(intent) && !intent.removed)) return
    await reportState(spec, GONE)
  }

  async #describe(part: TaggedPart, intent: Intent): Promise<Volume | undefined> {
    const { client, call, deployment } = this.#context
    const selection =
      intent.id === undefined ? { Filters: tagFilters(deployment, part.name) } : { VolumeIds: [intent.id] }
    const describe = () => client.send(new DescribeVolumesCommand(selection))
    return (await call('find the volume', describe, 'InvalidVolume.NotFound'))?.Volumes?.[0]
  }

  /** Creates the volume, once for its name. Throws CloudBusy while EC2 does not list the one created before. */
  async #createOnce(spec: VolumeSpec): Promise<Volume> {
    const { client, call, intents, deployment } = this.#context
    const { zone } = await this.#placement.ofInstance(spec.instance)
    const command = new CreateVolumeCommand({
      AvailabilityZone: zone,
      Size: spec.sizeGb,
      VolumeType: 'gp3',
      Encrypted: true,
      ClientToken: clientToken(deployment, spec.name),
      TagSpecifications: [{ ResourceType: 'volume', Tags: partTags(deployment, spec) }],
    })
    const create = () => call('create a volume', () => client.send(command), 'IdempotentParameterMismatch')
    const volume = await intents.createOnce(spec, create, result => result?.VolumeId)
    if (!volume) throw new CloudBusy('The volume was created, but EC2 does not list it yet.')
    return volume
  }

  /** Requests the size once. Resolves to true when the volume has it; a volume never shrinks. */
  async #grow({ VolumeId, Size = 0 }: Volume, sizeGb: number): Promise<boolean> {
    const { client, call } = this.#context
    if (Size >= sizeGb) return true
    const query = new DescribeVolumesModificationsCommand({ VolumeIds: VolumeId ? [VolumeId] : [] })
    const result = await call(
      'find the changes of the volume',
      () => client.send(query),
      'InvalidVolumeModification.NotFound',
      'InvalidVolume.NotFound',
    )
    const last = result?.VolumesModifications?.find(({ TargetSize }) => TargetSize === sizeGb)
    if (last?.ModificationState === 'failed') throw new CloudFault('AWS could not make the volume larger.')
    if (last?.ModificationState === 'modifying') return false
    await call('make the volume larger', () => client.send(new ModifyVolumeCommand({ VolumeId, Size: sizeGb })))
    return false
  }
}

function volumeStateOf(volume: Volume | undefined, { changeId }: Intent): MachineState {
  const change = changeId === undefined ? {} : { changeId }
  if (volume?.State === 'creating') return { status: 'BUILD', ...change }
  if (volume?.State === 'available' || volume?.State === 'in-use') return { status: 'ACTIVE', ...change }
  return { status: 'ERROR', fault: volume?.State === 'error' ? 'AWS could not make the volume.' : LOST, ...change }
}
