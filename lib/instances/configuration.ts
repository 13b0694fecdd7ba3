import { manifestOf } from '../datastores/catalog.ts'
import { findFlavor } from '../flavors/flavor.ts'
import type { Call, Reply } from '../kit/http/route.ts'
import type { Platform } from '../platform/platform.ts'
import { findInstance } from './instance.ts'
import { engineOf } from './parts.ts'

/** `GET /instances/{id}/configuration`: what the engine is configured with by default, for the instance's flavor and engine. */
export async function showConfiguration(call: Call<unknown, Platform>): Promise<Reply> {
  const { datastore, flavor } = (await findInstance(call.deps, call, call.params['id'] ?? '')).body
  const { ram, vcpus } = findFlavor(flavor) ?? { ram: 512, vcpus: 1 }
  const { versions, defaultConfiguration } = manifestOf(datastore.manager)
  // Neither a version's name nor its number has to tell of the engine: an admin may choose both.
  const engine = versions.find(({ name }) => name === engineOf(datastore).version)
  const configuration = defaultConfiguration({ ramMb: ram, vcpus }, engine?.version)
  return { status: 200, body: { instance: { configuration } } }
}
