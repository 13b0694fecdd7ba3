import { notFound, truncate } from '../kit/errors.ts'
import type { Call } from '../kit/http/route.ts'
import type { Stored } from '../kit/records.ts'
import { HOST_ID, HOSTS_PROJECT, type Host, hosts } from '../model/host.ts'
import type { Platform } from '../platform/platform.ts'

/** The path's host. Throws 404, also for one that was removed. */
export async function findHost({ deps, params }: Call<unknown, Platform>): Promise<Stored<Host>> {
  const id = params['host'] ?? ''
  const item = HOST_ID.test(id) ? await hosts.get(deps.store, HOSTS_PROJECT, id) : undefined
  if (!item || item.body.state === 'removed') throw notFound(`Host ${truncate(id)} cannot be found.`)
  return item
}
