import { DescribeInstanceAttributeCommand, DescribeInstancesCommand, type Instance } from '@aws-sdk/client-ec2'
import { z } from 'zod'
import type { World } from '../sim/world.ts'
import type { Moto } from './moto.ts'

const CloudConfig = z.object({
  write_files: z.array(z.object({ path: z.string(), content: z.string(), permissions: z.string() })),
  runcmd: z.array(z.array(z.string())),
})

/** What a machine's user-data tells it, as cloud-init would read it. */
export async function userDataOf({ client }: Moto, InstanceId: string) {
  const call = new DescribeInstanceAttributeCommand({ InstanceId, Attribute: 'userData' })
  const { UserData } = await client.send(call)
  const [first, ...lines] = Buffer.from(UserData?.Value ?? '', 'base64')
    .toString()
    .split('\n')
  if (first !== '#cloud-config') throw new Error('not for cloud-init')
  const { write_files: files } = CloudConfig.parse(JSON.parse(lines.join('\n')))
  const textOf = (path: string) => files.find(file => file.path === path)?.content ?? ''
  return { machine: JSON.parse(textOf('/etc/coffer/machine.json')), agentUrl: textOf('/etc/coffer/agent.url') }
}

export async function machines({ client }: Moto): Promise<Instance[]> {
  const { Reservations = [] } = await client.send(new DescribeInstancesCommand({}))
  return Reservations.flatMap(({ Instances = [] }) => Instances)
}

export const tag = ({ Tags }: Pick<Instance, 'Tags'>, key: string): string =>
  Tags?.find(({ Key }) => Key === key)?.Value ?? ''

/**
 * No machine boots on an emulator. What one does is done here: where an instance runs with its volume attached, an agent
 * starts in this process, as its user-data says; where the instance has stopped, the agent has ended.
 */
export async function machineSide(moto: Moto, world: World): Promise<void> {
  for (const one of await machines(moto)) {
    const name = tag(one, 'coffer-name')
    const agent = world.machine.servers.get(name)
    if (one.State?.Name !== 'running') {
      if (agent) world.machine.halts(name)
      continue
    }
    if (agent) continue
    const { machine } = await userDataOf(moto, one.InstanceId ?? '')
    if (!one.BlockDeviceMappings?.some(({ Ebs }) => Ebs?.VolumeId === machine.volume)) continue
    const { instance, generation } = machine.userData
    await world.machine.boots(name, instance, generation, machine.volume)
  }
}
