import type { CapabilityMethod, GuestCapability } from '../contracts/guest/guest.ts'
import type { Call } from '../kit/http/route.ts'
import { engineOfInstance, manifestOf, requireCapability } from '../model/catalog.ts'
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

/**
 * The same, for an operation that takes a capability of its datastore; with the rules of that. Throws 404, 501 if the
 * datastore does not have it, or what `check` throws.
 */
async function openWith<K extends GuestCapability>(
  call: ApiCall,
  capability: K,
  operation: string,
  check: (instance: Instance) => void,
) {
  const manifestFor = ({ datastore }: Instance) => {
    const { manager, version } = engineOfInstance(datastore)
    return requireCapability(manifestOf(call.deps.datastores, manager, version), capability, operation)
  }
  const { instance, agent } = await openAnyInstance(call, opened => {
    manifestFor(opened)
    check(opened)
  })
  return { instance, agent, manifest: manifestFor(instance) }
}

/** An instance on which an action is possible. Throws likewise, or 422 while none is. */
export const openAvailableInstance = <K extends GuestCapability>(
  call: ApiCall,
  capability: K,
  operation: CapabilityMethod<K>,
) => openWith(call, capability, operation, assertAvailable)

/** An instance whose database serves. Throws likewise, or 422 while it does not. */
export const openInstance = <K extends GuestCapability>(call: ApiCall, capability: K, operation: CapabilityMethod<K>) =>
  openWith(call, capability, operation, assertDatabaseRunning)

/** The same, with its databases and users as they will be once all accepted commands are done. */
export async function openForChange<K extends GuestCapability>(
  call: ApiCall,
  capability: K,
  operation: CapabilityMethod<K>,
) {
  const open = await openInstance(call, capability, operation)
  return { ...open, pending: await withPendingChanges(call.deps.store, open.agent, open.instance) }
}
