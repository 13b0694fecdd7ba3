import {
  AuthorizeSecurityGroupIngressCommand,
  CreateSecurityGroupCommand,
  DeleteSecurityGroupCommand,
  DescribeSecurityGroupsCommand,
  RevokeSecurityGroupIngressCommand,
  type SecurityGroup,
} from '@aws-sdk/client-ec2'
import type { Ec2Context } from './context.ts'
import { CloudBusy } from './errors.ts'
import { partTags, type TaggedPart, tagFilters } from './tags.ts'

export interface SecurityGroups {
  /** The group's id; created if there is none. Admits the networks to the port, and nobody else. */
  ensure(part: TaggedPart, vpc: string, port: number, networks: string[]): Promise<string>
  /** Resolves to true when the group is gone; AWS keeps it for as long as a machine is in it. */
  delete(part: TaggedPart): Promise<boolean>
}

/** A security group for each machine. Its name is unique in the VPC, so that a repeated call creates no second one. */
export function ec2SecurityGroups({ client, call, deployment }: Ec2Context): SecurityGroups {
  async function find({ name }: TaggedPart): Promise<SecurityGroup | undefined> {
    const command = new DescribeSecurityGroupsCommand({ Filters: tagFilters(deployment, name) })
    return (await call('find the security group', () => client.send(command)))?.SecurityGroups?.[0]
  }

  async function create(part: TaggedPart, vpc: string): Promise<SecurityGroup> {
    const command = new CreateSecurityGroupCommand({
      GroupName: `${deployment}-${part.name}`,
      Description: 'Who reaches an instance of Coffer',
      VpcId: vpc,
      TagSpecifications: [{ ResourceType: 'security-group', Tags: partTags(deployment, part) }],
    })
    const group = await call('create a security group', () => client.send(command), 'InvalidGroup.Duplicate')
    if (!group) throw new CloudBusy('The security group was created, but EC2 does not list it yet.')
    return group
  }

  return {
    async ensure(part, vpc, port, networks) {
      const group = (await find(part)) ?? (await create(part, vpc))
      const { GroupId = '' } = group
      const admitted = networksOf(group, port)
      const permissions = (ranges: string[]) => ({
        GroupId,
        IpPermissions: [
          { IpProtocol: 'tcp', FromPort: port, ToPort: port, IpRanges: ranges.map(CidrIp => ({ CidrIp })) },
        ],
      })
      const missing = networks.filter(network => !admitted.includes(network))
      if (missing.length > 0) {
        const command = new AuthorizeSecurityGroupIngressCommand(permissions(missing))
        await call('admit networks', () => client.send(command), 'InvalidPermission.Duplicate')
      }
      const surplus = admitted.filter(network => !networks.includes(network))
      if (surplus.length > 0) {
        const command = new RevokeSecurityGroupIngressCommand(permissions(surplus))
        await call('revoke networks', () => client.send(command), 'InvalidPermission.NotFound')
      }
      return GroupId
    },

    async delete(part) {
      const group = await find(part)
      if (!group) return true
      const command = new DeleteSecurityGroupCommand({ GroupId: group.GroupId })
      await call(
        'delete the security group',
        () => client.send(command),
        'InvalidGroup.NotFound',
        'DependencyViolation',
      )
      return !(await find(part))
    },
  }
}

function networksOf({ IpPermissions = [] }: SecurityGroup, port: number): string[] {
  return IpPermissions.filter(
    ({ IpProtocol, FromPort, ToPort }) => IpProtocol === 'tcp' && FromPort === port && ToPort === port,
  ).flatMap(({ IpRanges = [] }) => IpRanges.flatMap(({ CidrIp }) => (CidrIp ? [CidrIp] : [])))
}
