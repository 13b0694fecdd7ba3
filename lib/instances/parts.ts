import { findFlavor } from '../flavors/flavor.ts'
import { Gone, Permanent } from '../kit/errors.ts'
import type { Facts } from '../platform/compute/compute.ts'
import type { Platform } from '../platform/platform.ts'
import { type Instance, instances, serverOf, volumeOf } from './instance.ts'

/** The saga at work on an instance, as far as its machine parts need to know it. */
interface Run {
  deps: Platform
  project: string
  instance: string
}
export type Part = 'server' | 'volume'

/** Whether it is there. Throws Permanent if it cannot be. */
export function isActive(facts: Facts | undefined): boolean {
  if (facts?.status === 'ERROR') throw new Permanent(facts.fault ?? 'The machine could not be made.')
  return facts?.status === 'ACTIVE'
}

/** Asks for the part's removal. */
export async function remove(run: Run, part: Part): Promise<void> {
  const { deps, project, instance } = run
  const { generation, name } = await named(run, part)
  const spec = { name, instance, project, generation }
  await (part === 'server' ? deps.compute.deleteServer(spec) : deps.compute.deleteVolume(spec))
}

/** Whether the part is known to be removed. */
export async function isGone(run: Run, part: Part): Promise<boolean> {
  const { name } = await named(run, part)
  return (await run.deps.compute[part](run.project, name))?.status === 'GONE'
}

async function named({ deps, project, instance }: Run, part: Part) {
  const body = await current({ deps, project, instance })
  return { generation: body.generation, name: part === 'server' ? serverOf(body) : volumeOf(body) }
}

/** The instance as it is now. Throws Gone. */
export async function current({ deps, project, instance }: Run): Promise<Instance> {
  const item = await instances.get(deps.store, project, instance)
  if (!item) throw new Gone('The instance is gone.')
  return item.body
}

/** What of the ram quota an instance takes, in MB. */
export const ramOf = ({ flavor }: Pick<Instance, 'flavor'>): number => findFlavor(flavor)?.ram ?? 0

/** What a machine needs to know of the datastore: its engines are installed by their names. */
export const engineOf = ({ manager, versionName, engine = versionName }: Instance['datastore']) => ({
  manager,
  version: engine,
})
