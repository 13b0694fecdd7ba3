import {
  CreateVolumeCommand,
  DeleteVolumeCommand,
  DescribeVolumesCommand,
  DescribeVolumesModificationsCommand,
  ModifyVolumeCommand,
  type Volume,
} from '@aws-sdk/client-ec2'
import type { Compute, Facts, VolumeSpec } from '../compute.ts'
import { CloudBusy, CloudFault } from './errors.ts'
import type { Note } from './notes.ts'
import type { Places } from './places.ts'
import { filtersOf, type Owned, tagsOf, tokenOf } from './tags.ts'
import { orFault, SETTLE_MS, type Tools } from './tools.ts'

export interface Volumes extends Pick<Compute, 'createVolume' | 'deleteVolume' | 'resizeVolume'> {
  /** What AWS has under that name. */
  find(of: Owned): Promise<Volume | undefined>
}

const GONE = { status: 'GONE' } as const
const LOST = 'The volume is gone from AWS.'

/** The data of instances: an encrypted EBS volume (gp3) each, which outlives the machines that it is attached to. */
export function ec2Volumes(tools: Tools, places: Places): Volumes {
  const { client, ask, tell, notes, deployment, clock } = tools

  async function seen(of: Owned, note: Note): Promise<Volume | undefined> {
    const which = note.id === undefined ? { Filters: filtersOf(deployment, of.name) } : { VolumeIds: [note.id] }
    const call = () => client.send(new DescribeVolumesCommand(which))
    const found = await ask('find the volume', call, 'InvalidVolume.NotFound')
    return found?.Volumes?.[0]
  }

  const isRecent = ({ asked = 0 }: Note) => clock.now() - asked < SETTLE_MS

  async function made(spec: VolumeSpec): Promise<Volume> {
    const { zone } = await places.ofInstance(spec.instance)
    const call = new CreateVolumeCommand({
      AvailabilityZone: zone,
      Size: spec.sizeGb,
      VolumeType: 'gp3',
      Encrypted: true,
      ClientToken: tokenOf(deployment, spec.name),
      TagSpecifications: [{ ResourceType: 'volume', Tags: tagsOf(deployment, spec) }],
    })
    const sent = () => ask('make a volume', () => client.send(call), 'IdempotentParameterMismatch')
    const volume = await notes.making(spec, sent, answer => answer?.VolumeId)
    if (!volume) throw new CloudBusy('The volume is made already, and not to be seen yet.')
    return volume
  }

  return {
    async find(of) {
      const note = await notes.read(of)
      return note && seen(of, note)
    },

    async createVolume(spec) {
      const note = await notes.intended(spec)
      if (note.buried) return tell(spec, GONE)
      await orFault(
        async () => {
          const volume = (await seen(spec, note)) ?? (note.id === undefined ? await made(spec) : undefined)
          if (!volume && isRecent(note)) return tell(spec, { status: 'BUILD' })
          await tell(spec, factsOf(volume, note))
        },
        fault => tell(spec, { status: 'ERROR', fault }),
      )
    },

    async resizeVolume(spec) {
      const note = await notes.read(spec)
      if (!note || note.buried) return
      const volume = await seen(spec, note)
      if (!volume) return tell(spec, { status: 'ERROR', fault: LOST, wish: spec.wish })
      await orFault(
        async () => {
          if (note.wish !== spec.wish && !(await grown(tools, volume, spec.sizeGb))) return
          const done = await notes.write(spec, now => ({ ...now, wish: spec.wish }))
          await tell(spec, factsOf(volume, done))
        },
        fault => tell(spec, { ...factsOf(volume, note), wish: spec.wish, fault }),
      )
    },

    async deleteVolume(spec) {
      const note = await notes.write(spec, now => ({ ...now, buried: true }))
      if (note.asked === undefined) return tell(spec, GONE)
      const volume = await seen(spec, note)
      if (volume && volume.State !== 'deleting') {
        const { VolumeId } = volume
        await ask(
          'delete the volume',
          () => client.send(new DeleteVolumeCommand({ VolumeId })),
          'InvalidVolume.NotFound',
        )
        await notes.write(spec, now => ({ ...now, removed: true }))
        if (await seen(spec, note)) return
      } else if (volume || (isRecent(note) && !note.removed)) return
      await tell(spec, GONE)
    },
  }
}

/** Whether the volume has the size; asks for it once. A volume never shrinks: a smaller size is what it has already. */
async function grown({ client, ask }: Tools, { VolumeId, Size = 0 }: Volume, sizeGb: number): Promise<boolean> {
  if (Size >= sizeGb) return true
  const look = new DescribeVolumesModificationsCommand({ VolumeIds: VolumeId ? [VolumeId] : [] })
  const known = await ask(
    'look at the volume',
    () => client.send(look),
    'InvalidVolumeModification.NotFound',
    'InvalidVolume.NotFound',
  )
  const last = known?.VolumesModifications?.find(one => one.TargetSize === sizeGb)
  if (last?.ModificationState === 'failed') throw new CloudFault('AWS could not make the volume larger.')
  if (last?.ModificationState === 'modifying') return false
  await ask('make the volume larger', () => client.send(new ModifyVolumeCommand({ VolumeId, Size: sizeGb })))
  return false
}

function factsOf(volume: Volume | undefined, { wish }: Note): Facts {
  const wished = wish === undefined ? {} : { wish }
  if (volume?.State === 'creating') return { status: 'BUILD', ...wished }
  if (volume?.State === 'available' || volume?.State === 'in-use') return { status: 'ACTIVE', ...wished }
  return { status: 'ERROR', fault: volume?.State === 'error' ? 'AWS could not make the volume.' : LOST, ...wished }
}
