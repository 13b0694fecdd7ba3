import {
  type Address,
  AllocateAddressCommand,
  AssociateAddressCommand,
  DescribeAddressesCommand,
  DisassociateAddressCommand,
  ReleaseAddressCommand,
} from '@aws-sdk/client-ec2'
import { filtersOf, type Owned, tagsOf } from './tags.ts'
import type { Tools } from './tools.ts'

export interface Addresses {
  /** A public address for that name, taken at the first call; it stays when its machine stops and starts. */
  ensure(of: Owned): Promise<{ id: string; ip: string }>
  /** Has the address lead to the machine. */
  lead(of: Owned, machine: string): Promise<void>
  /** Gives it back, if there is one. */
  release(of: Owned): Promise<void>
}

export function ec2Addresses({ client, ask, deployment }: Tools): Addresses {
  /** One, or none; more where a call was repeated whose answer was lost, as this one takes no token. */
  async function find({ name }: Owned): Promise<Address[]> {
    const call = new DescribeAddressesCommand({ Filters: filtersOf(deployment, name) })
    const found = (await ask('find the public address', () => client.send(call)))?.Addresses ?? []
    return found.sort((a, b) => ((a.AllocationId ?? '') < (b.AllocationId ?? '') ? -1 : 1))
  }

  async function released({ AssociationId, AllocationId }: Address): Promise<void> {
    if (AssociationId) {
      const call = new DisassociateAddressCommand({ AssociationId })
      await ask('take the public address off', () => client.send(call), 'InvalidAssociationID.NotFound')
    }
    const call = new ReleaseAddressCommand({ AllocationId })
    await ask('give the public address back', () => client.send(call), 'InvalidAllocationID.NotFound')
  }

  return {
    async ensure(of) {
      const Tags = tagsOf(deployment, of)
      const call = new AllocateAddressCommand({
        Domain: 'vpc',
        TagSpecifications: [{ ResourceType: 'elastic-ip', Tags }],
      })
      const [first, ...more] = await find(of)
      for (const address of more) await released(address)
      const found = first ?? (await ask('take a public address', () => client.send(call)))
      return { id: found?.AllocationId ?? '', ip: found?.PublicIp ?? '' }
    },

    async lead(of, machine) {
      const [found] = await find(of)
      if (!found || found.InstanceId === machine) return
      const call = new AssociateAddressCommand({ AllocationId: found.AllocationId, InstanceId: machine })
      await ask('lead the public address to the machine', () => client.send(call))
    },

    async release(of) {
      for (const address of await find(of)) await released(address)
    },
  }
}
