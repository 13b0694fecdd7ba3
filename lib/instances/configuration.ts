import { manifestOf } from '../datastores/catalog.ts'
import { findFlavor } from '../flavors/flavor.ts'
import type { Call, Reply } from '../kit/http/route.ts'
import type { Platform } from '../platform/platform.ts'
import { findInstance } from './instance.ts'

/** `GET /instances/{id}/configuration`: what the engine is configured with by default, for the instance's flavor and version. */
export async function showConfiguration(call: Call<unknown, Platform>): Promise<Reply> {
  const { datastore, flavor } = (await findInstance(call.deps, call, call.params['id'] ?? '')).body
  const { ram, vcpus } = findFlavor(flavor) ?? { ram: 512, vcpus: 1 }
  const configuration = manifestOf(datastore.manager).defaultConfiguration({ ramMb: ram, vcpus }, datastore.versionName)
  return { status: 200, body: { instance: { configuration } } }
}
