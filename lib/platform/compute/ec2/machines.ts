import {
  type _InstanceType,
  AttachVolumeCommand,
  CreateTagsCommand,
  DescribeInstancesCommand,
  type Instance,
  ModifyInstanceAttributeCommand,
  RunInstancesCommand,
  StartInstancesCommand,
  StopInstancesCommand,
  TerminateInstancesCommand,
  type Volume,
} from '@aws-sdk/client-ec2'
import type { Facts, ServerSpec } from '../compute.ts'
import { CloudBusy, ending } from './errors.ts'
import { instanceType } from './flavors.ts'
import type { Note } from './notes.ts'
import type { Place, Root } from './places.ts'
import { presigned } from './presign.ts'
import { ENGINE, filtersOf, type Owned, tagsOf, tokenOf } from './tags.ts'
import type { Tools } from './tools.ts'
import { cloudConfig } from './user-data.ts'

/** Where the data volume is attached; on the machine it is found by its id. */
const DEVICE = '/dev/sdf'
/** The address of the agent's bundle ends with the enrolment secret. */
const BUNDLE_SECONDS = 1_800

/** What AWS has under that name; undefined as well where it is not to be seen yet. */
export async function machineOf({ client, ask, deployment }: Tools, of: Owned, note: Note) {
  const which = note.id === undefined ? { Filters: filtersOf(deployment, of.name) } : { InstanceIds: [note.id] }
  const call = () => client.send(new DescribeInstancesCommand(which))
  const found = await ask('find the machine', call, 'InvalidInstanceID.NotFound')
  return found?.Reservations?.flatMap(({ Instances = [] }) => Instances)[0]
}

export const stateOf = (machine: Instance | undefined): string => machine?.State?.Name ?? ''

export interface Launch {
  spec: ServerSpec
  volume: Volume
  place: Place
  group: string
  root: Root
}

/** Starts the machine, once for its name. Throws CloudBusy while the one that was started before is not to be seen. */
export async function launched(tools: Tools, { spec, volume, place, group, root }: Launch): Promise<Instance> {
  const { client, ask, deployment, image } = tools
  const call = new RunInstancesCommand({
    ClientToken: tokenOf(deployment, spec.name),
    ImageId: image,
    InstanceType: typeOf(spec.flavor),
    MinCount: 1,
    MaxCount: 1,
    UserData: Buffer.from(await userDataOf(tools, spec, volume)).toString('base64'),
    InstanceInitiatedShutdownBehavior: 'stop',
    // Version 2 only, and not for what is behind the machine's own network; a machine reads its tags at its start.
    MetadataOptions: {
      HttpEndpoint: 'enabled',
      HttpTokens: 'required',
      HttpPutResponseHopLimit: 1,
      InstanceMetadataTags: 'enabled',
    },
    NetworkInterfaces: [{ DeviceIndex: 0, SubnetId: place.subnet, Groups: [group], DeleteOnTermination: true }],
    BlockDeviceMappings: [
      {
        DeviceName: root.device,
        Ebs: { Encrypted: true, VolumeType: 'gp3', VolumeSize: root.sizeGb, DeleteOnTermination: true },
      },
    ],
    TagSpecifications: [
      { ResourceType: 'instance', Tags: [...tagsOf(deployment, spec), engineTag(spec.datastore)] },
      { ResourceType: 'volume', Tags: tagsOf(deployment, spec, { named: false }) },
      { ResourceType: 'network-interface', Tags: tagsOf(deployment, spec, { named: false }) },
    ],
  })
  // The user-data has the time in it: a repetition differs, and AWS says so instead of starting a second one.
  const sent = () => ask('start a machine', () => client.send(call), 'IdempotentParameterMismatch')
  const started = await tools.notes.making(spec, sent, answer => answer?.Instances?.[0]?.InstanceId)
  const machine = started?.Instances?.[0]
  if (!machine) throw new CloudBusy('The machine is started already, and not to be seen yet.')
  return machine
}

async function userDataOf(tools: Tools, spec: ServerSpec, volume: Volume): Promise<string> {
  const { client, bundle, connection, clock, portOf, logLevel } = tools
  const credentials = await client.config.credentials()
  const { region } = connection
  const url = presigned({ ...bundle, region, credentials, at: clock.now(), seconds: BUNDLE_SECONDS })
  const machine = {
    userData: JSON.parse(spec.userData),
    datastore: spec.datastore,
    volume: volume.VolumeId ?? '',
    port: portOf(spec.datastore.manager),
    logLevel,
  }
  return cloudConfig(machine, url)
}

/** The SDK's list of types is longer than the table, and the table is ours. */
const typeOf = (flavor: ServerSpec['flavor']) => instanceType(flavor) as _InstanceType

const engineTag = ({ version }: ServerSpec['datastore']) => ({ Key: ENGINE, Value: version })

/** Attaches the volume to the running machine; whether it is attached. */
export async function attached({ client, ask }: Tools, machine: Instance, { VolumeId }: Volume): Promise<boolean> {
  const known = machine.BlockDeviceMappings?.find(({ Ebs }) => Ebs?.VolumeId === VolumeId)
  if (known) return known.Ebs?.Status === 'attached'
  const { InstanceId } = machine
  const call = new AttachVolumeCommand({ Device: DEVICE, InstanceId, VolumeId })
  await ask('attach the volume', () => client.send(call))
  return false
}

const ids = ({ InstanceId }: Instance) => ({ InstanceIds: InstanceId ? [InstanceId] : [] })

export const start = ({ client, ask }: Tools, machine: Instance) =>
  ask('start the machine', () => client.send(new StartInstancesCommand(ids(machine))))

export const stop = ({ client, ask }: Tools, machine: Instance) =>
  ask('stop the machine', () => client.send(new StopInstancesCommand(ids(machine))))

export const terminate = ({ client, ask }: Tools, machine: Instance) =>
  ask('end the machine', () => client.send(new TerminateInstancesCommand(ids(machine))), 'InvalidInstanceID.NotFound')

/** What a stopped machine shall be when it starts again. */
export async function refit(
  { client, ask }: Tools,
  machine: Instance,
  { flavor, datastore }: Partial<Pick<ServerSpec, 'flavor' | 'datastore'>>,
): Promise<void> {
  const { InstanceId } = machine
  if (flavor && machine.InstanceType !== instanceType(flavor)) {
    const call = new ModifyInstanceAttributeCommand({ InstanceId, InstanceType: { Value: instanceType(flavor) } })
    await ask('change the size of the machine', () => client.send(call))
  }
  if (datastore && InstanceId) {
    const call = new CreateTagsCommand({ Resources: [InstanceId], Tags: [engineTag(datastore)] })
    await ask('tell the machine its engine', () => client.send(call))
  }
}

const STATUS: Record<string, Facts['status']> = {
  pending: 'BUILD',
  running: 'ACTIVE',
  stopping: 'SHUTDOWN',
  stopped: 'SHUTDOWN',
}

/** What is to be told of a machine; one that runs counts as being built until its volume is attached. */
export function factsOf(machine: Instance | undefined, { wish, address }: Note, port: number, whole = true): Facts {
  const status = STATUS[stateOf(machine)]
  const addresses = [
    ...(machine?.PrivateIpAddress ? [{ address: machine.PrivateIpAddress, port, type: 'private' as const }] : []),
    ...(address ? [{ address: address.ip, port, type: 'public' as const }] : []),
  ]
  const wished = wish === undefined ? {} : { wish }
  if (status === undefined) {
    return {
      status: 'ERROR',
      fault: machine ? ending(machine.StateReason) : 'The machine is gone from AWS.',
      ...wished,
    }
  }
  return { status: status === 'ACTIVE' && !whole ? 'BUILD' : status, addresses, ...wished }
}
