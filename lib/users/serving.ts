import { manifestOf } from '../datastores/catalog.ts'
import { guestClient } from '../guests/guest.ts'
import { assertServing, findInstance } from '../instances/instance.ts'
import type { Call } from '../kit/http/route.ts'
import type { Platform } from '../platform/platform.ts'
import { foreseen } from './foreseen.ts'

/** The path's instance, its agent and its datastore's rules. Throws 404, or 422 while its database does not serve. */
export async function serving(call: Call<unknown, Platform>) {
  const { body: instance } = await findInstance(call.deps, call, call.params['id'] ?? '')
  assertServing(instance)
  const { project, id } = instance
  const { manager, versionName, engine = versionName } = instance.datastore
  const agent = guestClient(call.deps, { project, instance: id, requestId: call.requestId })
  return { instance, agent, manifest: manifestOf(manager, engine) }
}

/** The same for what is to be changed, with how it will be by then. */
export async function changing(call: Call<unknown, Platform>) {
  const served = await serving(call)
  return { ...served, soon: await foreseen(call.deps.store, served.agent, served.instance) }
}
