import { isHostRemoved } from '../../model/host.ts'
import { type Instance, partOf, reloadInstance, serverOf, volumeOf } from '../../model/instance.ts'
import { recordGone } from '../../platform/machine-state.ts'
import type { Platform } from '../../platform/platform.ts'
import type { PartRef } from '../../ports/compute.ts'
import type { Subject } from '../../ports/store.ts'

/** The operation that works on an instance, as far as its machine parts have to know it. */
interface Run {
  deps: Platform
  project: string
  subject: Subject
}
export type MachinePart = 'server' | 'volume'

/** Asks compute to remove the part of the run's instance. */
export async function requestRemoval(run: Run, part: MachinePart): Promise<void> {
  const instance = await reloadInstance(run)
  await removePart(run.deps, part, partOf(instance, partName(instance, part)))
}

/** Asks compute to remove the part. What was on a removed host is gone: nobody would confirm it. */
export async function removePart({ compute, store, clock }: Platform, part: MachinePart, spec: PartRef): Promise<void> {
  const isLost = spec.host !== undefined && (await isHostRemoved(store, spec.host))
  if (isLost) return recordGone(store, clock.now(), spec)
  await (part === 'server' ? compute.deleteServer(spec) : compute.deleteVolume(spec))
}

/** Whether compute has confirmed that the part is gone. */
export async function isRemoved(run: Run, part: MachinePart): Promise<boolean> {
  const instance = await reloadInstance(run)
  return (await run.deps.compute[part](run.project, partName(instance, part)))?.status === 'GONE'
}

const partName = (instance: Instance, part: MachinePart) =>
  part === 'server' ? serverOf(instance) : volumeOf(instance)
