import {
  type Address,
  AllocateAddressCommand,
  AssociateAddressCommand,
  DescribeAddressesCommand,
  DisassociateAddressCommand,
  ReleaseAddressCommand,
} from '@aws-sdk/client-ec2'
import type { Ec2Context } from './context.ts'
import { partTags, type TaggedPart, tagFilters } from './tags.ts'

export interface ElasticIps {
  /** The public address of that part, allocated at the first call; it stays when its machine stops and starts. */
  ensure(part: TaggedPart): Promise<{ id: string; ip: string }>
  /** Associates the part's address, if it has one, with the machine of that id. */
  associate(part: TaggedPart, machineId: string): Promise<void>
  /** Releases the part's address, if it has one. */
  release(part: TaggedPart): Promise<void>
}

export function ec2ElasticIps({ client, call, deployment }: Ec2Context): ElasticIps {
  /** One or none; several if a call was repeated because its answer was lost: AllocateAddress takes no client token. */
  async function find({ name }: TaggedPart): Promise<Address[]> {
    const command = new DescribeAddressesCommand({ Filters: tagFilters(deployment, name) })
    const result = await call('find the public address', () => client.send(command))
    return (result?.Addresses ?? []).sort((a, b) => ((a.AllocationId ?? '') < (b.AllocationId ?? '') ? -1 : 1))
  }

  async function releaseAddress({ AssociationId, AllocationId }: Address): Promise<void> {
    if (AssociationId) {
      const command = new DisassociateAddressCommand({ AssociationId })
      await call('disassociate the public address', () => client.send(command), 'InvalidAssociationID.NotFound')
    }
    const command = new ReleaseAddressCommand({ AllocationId })
    await call('release the public address', () => client.send(command), 'InvalidAllocationID.NotFound')
  }

  return {
    async ensure(part) {
      const Tags = partTags(deployment, part)
      const command = new AllocateAddressCommand({
        Domain: 'vpc',
        TagSpecifications: [{ ResourceType: 'elastic-ip', Tags }],
      })
      const [first, ...duplicates] = await find(part)
      for (const address of duplicates) await releaseAddress(address)
      const address = first ?? (await call('allocate a public address', () => client.send(command)))
      return { id: address?.AllocationId ?? '', ip: address?.PublicIp ?? '' }
    },

    async associate(part, machineId) {
      const [address] = await find(part)
      if (!address || address.InstanceId === machineId) return
      const command = new AssociateAddressCommand({ AllocationId: address.AllocationId, InstanceId: machineId })
      await call('associate the public address with the machine', () => client.send(command))
    },

    async release(part) {
      for (const address of await find(part)) await releaseAddress(address)
    },
  }
}
