import type { Call } from '../kit/http/route.ts'
import { engineOfInstance, manifestOf } from '../model/catalog.ts'
import { assertAvailable, assertDatabaseRunning, findInstance, type Instance } from '../model/instance.ts'
import type { Platform } from '../platform/platform.ts'
import { planningClient } from './agent.ts'
import { withPendingChanges } from './pending-changes.ts'

type ApiCall = Call<unknown, Platform>

/** The path's instance, with a client of its agent, whatever state it is in. Throws 404. */
export async function openAnyInstance(call: ApiCall, check: (instance: Instance) => void = () => {}) {
  const { body: instance } = await findInstance(call.deps, call, call.params['id'] ?? '')
  check(instance)
  const { project, id } = instance
  return { instance, agent: planningClient(call.deps, { project, instance: id, requestId: call.requestId }) }
}

/** The same, if an action is possible on it. Throws 404, or 422 while none is. */
export const openAvailableInstance = (call: ApiCall) => openAnyInstance(call, assertAvailable)

/** The same, with the rules of its datastore. Throws 404, or 422 while its database does not serve. */
export async function openInstance(call: ApiCall) {
  const { instance, agent } = await openAnyInstance(call, assertDatabaseRunning)
  const { manager, version } = engineOfInstance(instance.datastore)
  return { instance, agent, manifest: manifestOf(manager, version) }
}

/** The same, with its databases and users as they will be once all accepted commands are done. */
export async function openForChange(call: ApiCall) {
  const open = await openInstance(call)
  return { ...open, pending: await withPendingChanges(call.deps.store, open.agent, open.instance) }
}
