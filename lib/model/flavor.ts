/** The size of an instance. `ram` is in MB, `disk` (the root disk) and `ephemeral` in GB. */
export interface Flavor {
  id: number
  name: string
  ram: number
  vcpus: number
  disk: number
  ephemeral: number
}

/** All flavors. */
export const FLAVORS: readonly Flavor[] = [
  { id: 1, name: 'db.tiny', ram: 512, vcpus: 1, disk: 0, ephemeral: 0 },
  { id: 2, name: 'db.small', ram: 1024, vcpus: 1, disk: 0, ephemeral: 0 },
  { id: 3, name: 'db.medium', ram: 2048, vcpus: 2, disk: 0, ephemeral: 0 },
  { id: 4, name: 'db.large', ram: 4096, vcpus: 2, disk: 0, ephemeral: 0 },
  { id: 5, name: 'db.xlarge', ram: 8192, vcpus: 4, disk: 0, ephemeral: 0 },
]

/** The flavor with this id. */
export function flavorById(id: string): Flavor | undefined {
  return FLAVORS.find(flavor => String(flavor.id) === id)
}

/** The flavor that a request names by its id, as a number or text, or by a URL that ends in the id. */
export function findFlavor(ref: string | number): Flavor | undefined {
  return flavorById(String(ref).split('/').at(-1) ?? '')
}

/** The size of a server of this flavor. A flavor that no longer exists counts as the smallest. */
export function flavorSize(id: string): { ramMb: number; vcpus: number } {
  const { ram, vcpus } = flavorById(id) ?? { ram: 512, vcpus: 1 }
  return { ramMb: ram, vcpus }
}

/** How much of the RAM quota an instance takes, in MB. */
export const ramQuota = ({ flavor }: { flavor: string }): number => flavorById(flavor)?.ram ?? 0
