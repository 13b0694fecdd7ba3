import { createHash } from 'node:crypto'
import { DescribeImagesCommand, DescribeSubnetsCommand, DescribeVpcsCommand } from '@aws-sdk/client-ec2'
import type { Ec2Context } from './context.ts'
import { CloudFault } from './errors.ts'

/** A subnet for machines. */
export interface Subnet {
  subnet: string
  zone: string
  vpc: string
}

export interface Root {
  device: string
  sizeGb: number
}

export interface Placement {
  /** Where a new volume goes: always the same subnet for one instance; instances are spread over all subnets. */
  ofInstance(instance: string): Promise<Subnet>
  /** The subnet for the machine of a volume in that zone. */
  inZone(zone: string | undefined): Promise<Subnet>
  /** The networks (CIDR) of the VPC. */
  networks(): Promise<string[]>
  /** The image's root device, and how many GB it takes. */
  root(): Promise<Root>
}

/** The subnets and the image of the deployment, read once. Throws CloudFault for what does not exist. */
export function ec2Placement({ client, call, subnets, image }: Ec2Context): Placement {
  const allSubnets = once(async () => {
    const result = await call('find its subnets', () => client.send(new DescribeSubnetsCommand({ SubnetIds: subnets })))
    const existing = (result?.Subnets ?? []).flatMap(({ SubnetId: subnet, AvailabilityZone: zone, VpcId: vpc }) =>
      subnet && zone && vpc ? [{ subnet, zone, vpc }] : [],
    )
    return existing.sort((a, b) => subnets.indexOf(a.subnet) - subnets.indexOf(b.subnet))
  })
  const requireSubnet = (subnet: Subnet | undefined, fault: string) => {
    if (!subnet) throw new CloudFault(fault)
    return subnet
  }
  return {
    async ofInstance(instance) {
      const choices = await allSubnets()
      const hash = createHash('sha256').update(instance).digest().readUInt32BE(0)
      return requireSubnet(choices[hash % choices.length], 'There is no subnet for machines.')
    },
    inZone: async zone =>
      requireSubnet(
        (await allSubnets()).find(subnet => subnet.zone === zone),
        `The volume is in ${zone}, where this Coffer has no subnet any more.`,
      ),
    networks: once(async () => {
      const VpcIds = [...new Set((await allSubnets()).map(({ vpc }) => vpc))]
      const result = await call('find its network', () => client.send(new DescribeVpcsCommand({ VpcIds })))
      const blocks = (result?.Vpcs ?? []).flatMap(vpc => [
        vpc.CidrBlock,
        ...(vpc.CidrBlockAssociationSet ?? []).map(({ CidrBlock }) => CidrBlock),
      ])
      return [...new Set(blocks.filter(block => block !== undefined))]
    }),
    root: once(async () => {
      const result = await call('find its image', () => client.send(new DescribeImagesCommand({ ImageIds: [image] })))
      const { RootDeviceName: device, BlockDeviceMappings = [] } = result?.Images?.[0] ?? {}
      const sizeGb = BlockDeviceMappings.find(({ DeviceName }) => DeviceName === device)?.Ebs?.VolumeSize
      if (!device || !sizeGb) throw new CloudFault(`There is no image ${image} with a root disk.`)
      return { device, sizeGb }
    }),
  }
}

/** Runs `work` at the first call and caches its result, but no failure. */
function once<T>(work: () => Promise<T>): () => Promise<T> {
  let running: Promise<T> | undefined
  return () => {
    running ??= work().catch(error => {
      running = undefined
      throw error
    })
    return running
  }
}
