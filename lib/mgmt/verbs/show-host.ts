import type { Call, Reply } from '../../kit/http/route.ts'
import { instancesOn } from '../../model/host.ts'
import { memoryInUse } from '../../model/placement.ts'
import type { Platform } from '../../platform/platform.ts'
import { findHost } from '../host-of-path.ts'
import { hostSummary, instanceOnHost } from '../host-view.ts'

/** `GET /mgmt/hosts/{host}`, with all its instances. */
export async function showHost(call: Call<unknown, Platform>): Promise<Reply> {
  const { store } = call.deps
  const { body: host } = await findHost(call)
  const usedMb = (await memoryInUse(store)).get(host.id) ?? 0
  const instances: ReturnType<typeof instanceOnHost>[] = []
  for await (const { body } of instancesOn(store, host.id)) instances.push(instanceOnHost(body))
  return { status: 200, body: { host: { ...hostSummary(host, usedMb), instances } } }
}
