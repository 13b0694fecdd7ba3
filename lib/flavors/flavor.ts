/** What a flavor gives an instance. */
export interface Flavor {
  id: number
  name: string
  ram: number
  vcpus: number
  disk: number
  ephemeral: number
}

/** The flavors on offer; `ram` in MB. */
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

/** The flavor that a request names: by its id as a number or text, or by a URL that ends in it. */
export function findFlavor(ref: string | number): Flavor | undefined {
  return flavorById(String(ref).split('/').at(-1) ?? '')
}
