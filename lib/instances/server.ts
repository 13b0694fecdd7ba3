import { guestTopic } from '../contracts/conductor.ts'
import { findFlavor } from '../flavors/flavor.ts'
import { enrolSecret } from '../guests/guest.ts'
import type { Running, Step } from '../kit/saga/saga.ts'
import type { Platform } from '../platform/platform.ts'
import { changeInstance, serverOf, volumeOf } from './instance.ts'
import { current, engineOf, isActive, isGone, remove } from './parts.ts'

/** The server of the instance's generation, with its volume and its agent's queue. */
export const serverStep: Step<unknown, Platform> = {
  async do(run) {
    const { deps, project } = run
    const instance = await current(run)
    const { id, generation } = instance
    await deps.queue.declare(guestTopic(id, generation))
    await deps.compute.createServer({
      name: serverOf(instance),
      volume: volumeOf(instance),
      instance: id,
      project,
      generation,
      flavor: sizeOf(instance.flavor),
      datastore: engineOf(instance.datastore),
      userData: await userData(run, generation),
      ...(instance.access && { access: instance.access }),
    })
  },
  waitFor: 'update_server',
  async until(run) {
    const facts = await run.deps.compute.server(run.project, serverOf(await current(run)))
    if (!isActive(facts)) return false
    const server = { status: 'ACTIVE' as const, ...(facts?.addresses && { addresses: facts.addresses }) }
    await changeInstance(run.deps, run.project, run.instance, instance => ({ ...instance, server }))
    return true
  },
  async undo(run) {
    await remove(run, 'server')
    await run.deps.queue.remove(guestTopic(run.instance, (await current(run)).generation))
  },
  undone: run => isGone(run, 'server'),
}

/** What a flavor gives a server. */
export function sizeOf(flavor: string): { ramMb: number; vcpus: number } {
  const { ram, vcpus } = findFlavor(flavor) ?? { ram: 512, vcpus: 1 }
  return { ramMb: ram, vcpus }
}

async function userData({ deps, instance }: Running<unknown, Platform>, generation: number): Promise<string> {
  const secret = await enrolSecret(deps.keys, instance, generation)
  return JSON.stringify({ instance, generation, secret, enrolUrl: deps.enrolUrl() })
}
