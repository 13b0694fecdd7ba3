import { reloadInstance, serverOf, volumeOf } from '../../model/instance.ts'
import type { Platform } from '../../platform/platform.ts'
import type { Subject } from '../../ports/store.ts'

/** The operation that works on an instance, as far as its machine parts have to know it. */
interface Run {
  deps: Platform
  project: string
  subject: Subject
}
export type MachinePart = 'server' | 'volume'

/** Asks compute to remove the part. */
export async function requestRemoval(run: Run, part: MachinePart): Promise<void> {
  const { compute } = run.deps
  const { generation, name } = await currentPart(run, part)
  const spec = { name, instance: run.subject.id, project: run.project, generation }
  await (part === 'server' ? compute.deleteServer(spec) : compute.deleteVolume(spec))
}

/** Whether compute has confirmed that the part is gone. */
export async function isRemoved(run: Run, part: MachinePart): Promise<boolean> {
  const { name } = await currentPart(run, part)
  return (await run.deps.compute[part](run.project, name))?.status === 'GONE'
}

async function currentPart(run: Run, part: MachinePart) {
  const instance = await reloadInstance(run)
  return { generation: instance.generation, name: part === 'server' ? serverOf(instance) : volumeOf(instance) }
}
