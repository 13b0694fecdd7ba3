import { createHash } from 'node:crypto'
import { DescribeImagesCommand, DescribeSubnetsCommand, DescribeVpcsCommand } from '@aws-sdk/client-ec2'
import { CloudFault } from './errors.ts'
import type { Tools } from './tools.ts'

/** A network that machines are put into. */
export interface Place {
  subnet: string
  zone: string
  vpc: string
}

export interface Root {
  device: string
  sizeGb: number
}

export interface Places {
  /** For a new volume: the same one for an instance each time, instances over all of them. */
  ofInstance(instance: string): Promise<Place>
  /** Where the machine of a volume has to be. */
  inZone(zone: string | undefined): Promise<Place>
  /** The networks of the virtual private cloud. */
  networks(): Promise<string[]>
  /** The image's root device, and how many GB it takes. */
  root(): Promise<Root>
}

/** What the deployment was told to use, looked up once. Throws CloudFault for what is not there. */
export function placesOf({ client, ask, subnets, image }: Tools): Places {
  const all = once(async () => {
    const found = await ask('find its subnets', () => client.send(new DescribeSubnetsCommand({ SubnetIds: subnets })))
    const places = (found?.Subnets ?? []).flatMap(({ SubnetId: subnet, AvailabilityZone: zone, VpcId: vpc }) =>
      subnet && zone && vpc ? [{ subnet, zone, vpc }] : [],
    )
    return places.sort((a, b) => subnets.indexOf(a.subnet) - subnets.indexOf(b.subnet))
  })
  const some = (place: Place | undefined, why: string) => {
    if (!place) throw new CloudFault(why)
    return place
  }
  return {
    async ofInstance(instance) {
      const places = await all()
      const turn = createHash('sha256').update(instance).digest().readUInt32BE(0)
      return some(places[turn % places.length], 'There is no subnet for machines.')
    },
    inZone: async zone =>
      some(
        (await all()).find(place => place.zone === zone),
        `The volume is in ${zone}, where this Coffer has no subnet any more.`,
      ),
    networks: once(async () => {
      const VpcIds = [...new Set((await all()).map(({ vpc }) => vpc))]
      const found = await ask('find its network', () => client.send(new DescribeVpcsCommand({ VpcIds })))
      const blocks = (found?.Vpcs ?? []).flatMap(vpc => [
        vpc.CidrBlock,
        ...(vpc.CidrBlockAssociationSet ?? []).map(({ CidrBlock }) => CidrBlock),
      ])
      return [...new Set(blocks.filter(block => block !== undefined))]
    }),
    root: once(async () => {
      const found = await ask('find its image', () => client.send(new DescribeImagesCommand({ ImageIds: [image] })))
      const { RootDeviceName: device, BlockDeviceMappings = [] } = found?.Images?.[0] ?? {}
      const sizeGb = BlockDeviceMappings.find(({ DeviceName }) => DeviceName === device)?.Ebs?.VolumeSize
      if (!device || !sizeGb) throw new CloudFault(`There is no image ${image} with a root disk.`)
      return { device, sizeGb }
    }),
  }
}

/** Asked for at the first call; a failure is not kept. */
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
