import { agentRecords } from '../../agents/agent.ts'
import { enrolSecret } from '../../agents/enrol-secret.ts'
import { guestTopic } from '../../contracts/conductor.ts'
import type { SagaRun, Step } from '../../kit/saga/saga.ts'
import { engineOfInstance } from '../../model/catalog.ts'
import { flavorSize } from '../../model/flavor.ts'
import { partOf, reloadInstance, serverCreated, serverOf, updateInstance, volumeOf } from '../../model/instance.ts'
import { isActive } from '../../platform/machine-state.ts'
import type { Platform } from '../../platform/platform.ts'
import { isRemoved, requestRemoval } from './machine.ts'

/** Makes the server of the instance's current generation, with its volume attached and its agent's queue declared. */
export const createServerStep: Step<unknown, Platform> = {
  async do(run) {
    const { deps } = run
    const instance = await reloadInstance(run)
    const { id, generation } = instance
    // A restart may have declared it again since the old server was removed.
    if (generation > 1) await deps.queue.remove(guestTopic(id, generation - 1))
    await deps.queue.declare(guestTopic(id, generation))
    await deps.compute.createServer({
      ...partOf(instance, serverOf(instance)),
      volume: volumeOf(instance),
      flavor: flavorSize(instance.flavor),
      datastore: engineOfInstance(instance.datastore),
      userData: await userData(run, generation),
      ...(instance.access && { access: instance.access }),
    })
  },
  async isDone(run) {
    const state = await run.deps.compute.server(run.project, serverOf(await reloadInstance(run)))
    if (!isActive(state)) return false
    await updateInstance(run.deps, run.project, run.subject.id, instance => serverCreated(instance, state?.addresses))
    return true
  },
  async undo(run) {
    await requestRemoval(run, 'server')
    await run.deps.queue.remove(guestTopic(run.subject.id, (await reloadInstance(run)).generation))
  },
  isUndone: run => isRemoved(run, 'server'),
}

/** What the agent needs to enrol, as the server's user-data. */
async function userData({ deps, project, subject }: SagaRun<unknown, Platform>, generation: number): Promise<string> {
  const instance = subject.id
  // A repetition must give the same user-data, whichever master key is current by then.
  const agent = await agentRecords.get(deps.store, project, instance)
  const secret = await enrolSecret(deps.keys, instance, generation, agent?.body.kid)
  return JSON.stringify({ instance, generation, secret, enrolUrl: deps.enrolUrl() })
}
