import type { Call, Reply } from '../../kit/http/route.ts'
import { instancesOn } from '../../model/host.ts'
import { allHosts, memoryInUse } from '../../model/placement.ts'
import type { Platform } from '../../platform/platform.ts'
import type { Store } from '../../ports/store.ts'
import { hostSummary } from '../host-view.ts'

/** `GET /mgmt/hosts`. */
export async function listHosts({ deps: { store } }: Call<unknown, Platform>): Promise<Reply> {
  const inUse = await memoryInUse(store)
  const hosts = (await allHosts(store)).map(async ({ body }) => ({
    ...hostSummary(body, inUse.get(body.id) ?? 0),
    instanceCount: await countInstances(store, body.id),
  }))
  return { status: 200, body: { hosts: await Promise.all(hosts) } }
}

async function countInstances(store: Store, host: string): Promise<number> {
  let count = 0
  for await (const _ of instancesOn(store, host)) count++
  return count
}
