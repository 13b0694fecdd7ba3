import {
  AuthorizeSecurityGroupIngressCommand,
  CreateSecurityGroupCommand,
  DeleteSecurityGroupCommand,
  DescribeSecurityGroupsCommand,
  RevokeSecurityGroupIngressCommand,
  type SecurityGroup,
} from '@aws-sdk/client-ec2'
import { CloudBusy } from './errors.ts'
import { filtersOf, type Owned, tagsOf } from './tags.ts'
import type { Tools } from './tools.ts'

export interface Groups {
  /** Its id; made if it is not there. Lets the networks in at the port, and nobody else. */
  ensure(of: Owned, vpc: string, port: number, networks: string[]): Promise<string>
  /** Whether it is gone: it stays for as long as a machine is in it. */
  removed(of: Owned): Promise<boolean>
}

/** A security group for each machine, by its name: that is unique in its network, so that a repeated call makes no second one. */
export function ec2Groups({ client, ask, deployment }: Tools): Groups {
  async function find({ name }: Owned): Promise<SecurityGroup | undefined> {
    const call = new DescribeSecurityGroupsCommand({ Filters: filtersOf(deployment, name) })
    return (await ask('find the security group', () => client.send(call)))?.SecurityGroups?.[0]
  }

  async function made(of: Owned, vpc: string): Promise<SecurityGroup> {
    const call = new CreateSecurityGroupCommand({
      GroupName: `${deployment}-${of.name}`,
      Description: 'Who reaches an instance of Coffer',
      VpcId: vpc,
      TagSpecifications: [{ ResourceType: 'security-group', Tags: tagsOf(deployment, of) }],
    })
    const group = await ask('make a security group', () => client.send(call), 'InvalidGroup.Duplicate')
    if (!group) throw new CloudBusy('The security group is made already, and not to be seen yet.')
    return group
  }

  return {
    async ensure(of, vpc, port, networks) {
      const group = (await find(of)) ?? (await made(of, vpc))
      const { GroupId = '' } = group
      const known = networksOf(group, port)
      const permissions = (ranges: string[]) => ({
        GroupId,
        IpPermissions: [
          { IpProtocol: 'tcp', FromPort: port, ToPort: port, IpRanges: ranges.map(CidrIp => ({ CidrIp })) },
        ],
      })
      const missing = networks.filter(network => !known.includes(network))
      if (missing.length > 0) {
        const call = new AuthorizeSecurityGroupIngressCommand(permissions(missing))
        await ask('let networks in', () => client.send(call), 'InvalidPermission.Duplicate')
      }
      const surplus = known.filter(network => !networks.includes(network))
      if (surplus.length > 0) {
        const call = new RevokeSecurityGroupIngressCommand(permissions(surplus))
        await ask('shut networks out', () => client.send(call), 'InvalidPermission.NotFound')
      }
      return GroupId
    },

    async removed(of) {
      const group = await find(of)
      if (!group) return true
      const call = new DeleteSecurityGroupCommand({ GroupId: group.GroupId })
      await ask('delete the security group', () => client.send(call), 'InvalidGroup.NotFound', 'DependencyViolation')
      return !(await find(of))
    },
  }
}

function networksOf({ IpPermissions = [] }: SecurityGroup, port: number): string[] {
  return IpPermissions.filter(one => one.IpProtocol === 'tcp' && one.FromPort === port && one.ToPort === port).flatMap(
    ({ IpRanges = [] }) => IpRanges.flatMap(({ CidrIp }) => (CidrIp ? [CidrIp] : [])),
  )
}
