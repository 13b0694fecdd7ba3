import { CloudFault } from './errors.ts'

/** The instance types of flavors: Graviton (arm64), smallest first; the first with enough of both is used. */
export const INSTANCE_TYPES: readonly { type: string; ramMb: number; vcpus: number }[] = [
  { type: 't4g.nano', ramMb: 512, vcpus: 2 },
  { type: 't4g.micro', ramMb: 1024, vcpus: 2 },
  { type: 't4g.small', ramMb: 2048, vcpus: 2 },
  { type: 't4g.medium', ramMb: 4096, vcpus: 2 },
  { type: 'c7g.xlarge', ramMb: 8192, vcpus: 4 },
]

/** The instance type for a flavor. Throws CloudFault if none is big enough. */
export function instanceType({ ramMb, vcpus }: { ramMb: number; vcpus: number }): string {
  const match = INSTANCE_TYPES.find(candidate => candidate.ramMb >= ramMb && candidate.vcpus >= vcpus)
  if (!match) throw new CloudFault(`There is no instance type for ${ramMb} MB and ${vcpus} processors.`)
  return match.type
}
