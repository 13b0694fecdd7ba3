import { DescribeInstanceAttributeCommand, DescribeInstancesCommand, type Instance } from '@aws-sdk/client-ec2'
import { z } from 'zod'
import type { World } from '../sim/world.ts'
import type { Moto } from './moto.ts'

const CloudConfig = z.object({
  write_files: z.array(z.object({ path: z.string(), content: z.string(), permissions: z.string() })),
  runcmd: z.array(z.array(z.string())),
})

/** What a machine's user-data says, parsed as cloud-init would. */
export async function userDataOf({ client }: Moto, InstanceId: string) {
  const call = new DescribeInstanceAttributeCommand({ InstanceId, Attribute: 'userData' })
  const { UserData } = await client.send(call)
  const [first, ...lines] = Buffer.from(UserData?.Value ?? '', 'base64')
    .toString()
    .split('\n')
  if (first !== '#cloud-config') throw new Error('the user-data is not for cloud-init')
  const { write_files: files } = CloudConfig.parse(JSON.parse(lines.join('\n')))
  const textOf = (path: string) => files.find(file => file.path === path)?.content ?? ''
  return { machine: JSON.parse(textOf('/etc/coffer/machine.json')), agentUrl: textOf('/etc/coffer/agent.url') }
}

export async function listMachines({ client }: Moto): Promise<Instance[]> {
  const { Reservations = [] } = await client.send(new DescribeInstancesCommand({}))
  return Reservations.flatMap(({ Instances = [] }) => Instances)
}

export const tagOf = ({ Tags }: Pick<Instance, 'Tags'>, key: string): string =>
  Tags?.find(({ Key }) => Key === key)?.Value ?? ''

/**
 * No machine boots on an emulator, so this does what it would do: an agent starts in this process for each EC2 instance
 * that runs with its volume attached, as its user-data says, and ends when the instance has stopped.
 */
export async function syncAgents(moto: Moto, world: World): Promise<void> {
  for (const instance of await listMachines(moto)) {
    const name = tagOf(instance, 'coffer-name')
    const agent = world.machine.servers.get(name)
    if (instance.State?.Name !== 'running') {
      if (agent) world.machine.haltServer(name)
      continue
    }
    if (agent) continue
    const { machine } = await userDataOf(moto, instance.InstanceId ?? '')
    if (!instance.BlockDeviceMappings?.some(({ Ebs }) => Ebs?.VolumeId === machine.volume)) continue
    const { userData, volume } = machine
    await world.machine.bootServer(name, userData.instance, userData.generation, volume)
  }
}
