import {
  type _InstanceType,
  AttachVolumeCommand,
  CreateTagsCommand,
  DescribeInstancesCommand,
  type Instance,
  ModifyInstanceAttributeCommand,
  RunInstancesCommand,
  type RunInstancesCommandInput,
  StartInstancesCommand,
  StopInstancesCommand,
  TerminateInstancesCommand,
  type Volume,
} from '@aws-sdk/client-ec2'
import type { MachineState, ServerSpec } from '../../../ports/compute.ts'
import type { Ec2Context } from './context.ts'
import { CloudBusy, terminationReason } from './errors.ts'
import { instanceType } from './flavors.ts'
import type { Intent } from './intents.ts'
import type { Root, Subnet } from './placement.ts'
import { presignUrl } from './presign.ts'
import { clientToken, ENGINE, partTags, type TaggedPart, tagFilters } from './tags.ts'
import { cloudConfig } from './user-data.ts'

/** Where the data volume is attached; on the machine it is found by its id. */
const DEVICE = '/dev/sdf'
/** The URL of the agent's bundle expires with the enrolment secret. */
const BUNDLE_SECONDS = 1_800

/** The machine of that name; undefined if there is none, or if EC2 does not list it yet. */
export async function findMachine({ client, call, deployment }: Ec2Context, part: TaggedPart, intent: Intent) {
  const selection =
    intent.id === undefined ? { Filters: tagFilters(deployment, part.name) } : { InstanceIds: [intent.id] }
  const describe = () => client.send(new DescribeInstancesCommand(selection))
  const result = await call('find the machine', describe, 'InvalidInstanceID.NotFound')
  return result?.Reservations?.flatMap(({ Instances = [] }) => Instances)[0]
}

export const stateOf = (machine: Instance | undefined): string => machine?.State?.Name ?? ''

interface LaunchSpec {
  spec: ServerSpec
  volume: Volume
  subnet: Subnet
  group: string
  root: Root
}

/** Starts the machine, once for its name. Throws CloudBusy while EC2 does not list the one started before. */
export async function launchMachine(context: Ec2Context, launch: LaunchSpec): Promise<Instance> {
  const { client, call, intents } = context
  const command = new RunInstancesCommand(await runInput(context, launch))
  // The user data contains the time: a repeated call differs, and AWS refuses it instead of starting a second machine.
  const run = () => call('start a machine', () => client.send(command), 'IdempotentParameterMismatch')
  const result = await intents.createOnce(launch.spec, run, answer => answer?.Instances?.[0]?.InstanceId)
  const machine = result?.Instances?.[0]
  if (!machine) throw new CloudBusy('The machine was started, but EC2 does not list it yet.')
  return machine
}

async function runInput(
  context: Ec2Context,
  { spec, volume, subnet, group, root }: LaunchSpec,
): Promise<RunInstancesCommandInput> {
  const { deployment, image } = context
  return {
    ClientToken: clientToken(deployment, spec.name),
    ImageId: image,
    InstanceType: typeOf(spec.flavor),
    MinCount: 1,
    MaxCount: 1,
    UserData: Buffer.from(await userDataOf(context, spec, volume)).toString('base64'),
    InstanceInitiatedShutdownBehavior: 'stop',
    // IMDSv2 only, one hop: not for containers on the machine. A machine reads its tags when it starts.
    MetadataOptions: {
      HttpEndpoint: 'enabled',
      HttpTokens: 'required',
      HttpPutResponseHopLimit: 1,
      InstanceMetadataTags: 'enabled',
    },
    NetworkInterfaces: [{ DeviceIndex: 0, SubnetId: subnet.subnet, Groups: [group], DeleteOnTermination: true }],
    BlockDeviceMappings: [
      {
        DeviceName: root.device,
        Ebs: { Encrypted: true, VolumeType: 'gp3', VolumeSize: root.sizeGb, DeleteOnTermination: true },
      },
    ],
    TagSpecifications: [
      { ResourceType: 'instance', Tags: [...partTags(deployment, spec), engineTag(spec.datastore)] },
      { ResourceType: 'volume', Tags: partTags(deployment, spec, { named: false }) },
      { ResourceType: 'network-interface', Tags: partTags(deployment, spec, { named: false }) },
    ],
  }
}

async function userDataOf(context: Ec2Context, spec: ServerSpec, volume: Volume): Promise<string> {
  const { client, bundle, clock, portOf, logLevel } = context
  const signing = { signer: client.config, signedAt: clock.now(), seconds: BUNDLE_SECONDS }
  const url = await presignUrl({ ...bundle, ...signing })
  const machine = {
    userData: JSON.parse(spec.userData),
    datastore: spec.datastore,
    volume: volume.VolumeId ?? '',
    port: portOf(spec.datastore.manager),
    logLevel,
  }
  return cloudConfig(machine, url)
}

/** A cast, as the SDK's union of instance types is not to be repeated in our table. */
const typeOf = (flavor: ServerSpec['flavor']) => instanceType(flavor) as _InstanceType

const engineTag = ({ version }: ServerSpec['datastore']) => ({ Key: ENGINE, Value: version })

/** Attaches the volume to the running machine; resolves to true when it is attached. */
export async function ensureAttached(
  { client, call }: Ec2Context,
  machine: Instance,
  { VolumeId }: Volume,
): Promise<boolean> {
  const attachment = machine.BlockDeviceMappings?.find(({ Ebs }) => Ebs?.VolumeId === VolumeId)
  if (attachment) return attachment.Ebs?.Status === 'attached'
  const { InstanceId } = machine
  const command = new AttachVolumeCommand({ Device: DEVICE, InstanceId, VolumeId })
  await call('attach the volume', () => client.send(command))
  return false
}

const ids = ({ InstanceId }: Instance) => ({ InstanceIds: InstanceId ? [InstanceId] : [] })

export const start = ({ client, call }: Ec2Context, machine: Instance) =>
  call('start the machine', () => client.send(new StartInstancesCommand(ids(machine))))

export const stop = ({ client, call }: Ec2Context, machine: Instance) =>
  call('stop the machine', () => client.send(new StopInstancesCommand(ids(machine))))

export const terminate = ({ client, call }: Ec2Context, machine: Instance) =>
  call(
    'terminate the machine',
    () => client.send(new TerminateInstancesCommand(ids(machine))),
    'InvalidInstanceID.NotFound',
  )

/** Sets what a stopped machine is to be when it starts again. */
export async function modifyStopped(
  { client, call }: Ec2Context,
  machine: Instance,
  { flavor, datastore }: Partial<Pick<ServerSpec, 'flavor' | 'datastore'>>,
): Promise<void> {
  const { InstanceId } = machine
  if (flavor && machine.InstanceType !== instanceType(flavor)) {
    const command = new ModifyInstanceAttributeCommand({ InstanceId, InstanceType: { Value: instanceType(flavor) } })
    await call('change the size of the machine', () => client.send(command))
  }
  if (datastore && InstanceId) {
    const command = new CreateTagsCommand({ Resources: [InstanceId], Tags: [engineTag(datastore)] })
    await call('tag the machine with its engine', () => client.send(command))
  }
}

const STATUS: Record<string, MachineState['status']> = {
  pending: 'BUILD',
  running: 'ACTIVE',
  stopping: 'SHUTDOWN',
  stopped: 'SHUTDOWN',
}

/** The state of a machine as sagas see it; one that runs counts as BUILD until it is `ready`: its volume attached. */
export function machineStateOf(
  machine: Instance | undefined,
  { changeId, address }: Intent,
  port: number,
  ready = true,
): MachineState {
  const status = STATUS[stateOf(machine)]
  const addresses = [
    ...(machine?.PrivateIpAddress ? [{ address: machine.PrivateIpAddress, port, type: 'private' as const }] : []),
    ...(address ? [{ address: address.ip, port, type: 'public' as const }] : []),
  ]
  const change = changeId === undefined ? {} : { changeId }
  if (status === undefined) {
    return {
      status: 'ERROR',
      fault: machine ? terminationReason(machine.StateReason) : 'The machine is gone from AWS.',
      ...change,
    }
  }
  return { status: status === 'ACTIVE' && !ready ? 'BUILD' : status, addresses, ...change }
}
