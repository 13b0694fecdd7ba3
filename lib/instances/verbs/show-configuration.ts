import type { Call, Reply } from '../../kit/http/route.ts'
import { engineOfInstance, manifestOf } from '../../model/catalog.ts'
import { flavorSize } from '../../model/flavor.ts'
import { findInstance } from '../../model/instance.ts'
import type { Platform } from '../../platform/platform.ts'

/** `GET /instances/{id}/configuration`: what the engine is configured with by default, for the instance's flavor and engine. */
export async function showConfiguration(call: Call<unknown, Platform>): Promise<Reply> {
  const { datastore, flavor } = (await findInstance(call.deps, call, call.params['id'] ?? '')).body
  const { versions, defaultConfiguration } = manifestOf(call.deps.datastores, datastore.manager)
  // An admin may choose a version's name and number: neither has to say which engine it is.
  const engine = versions.find(({ name }) => name === engineOfInstance(datastore).version)
  const configuration = defaultConfiguration(flavorSize(flavor), engine?.version)
  return { status: 200, body: { instance: { configuration } } }
}
