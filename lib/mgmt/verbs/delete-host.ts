import { conflict } from '../../kit/errors.ts'
import { parseBoolean } from '../../kit/http/parse.ts'
import type { Call, Mutation } from '../../kit/http/route.ts'
import { HOSTS_PROJECT, hostRef, hosts, hostUse } from '../../model/host.ts'
import { instances } from '../../model/instance.ts'
import type { Platform } from '../../platform/platform.ts'
import { findHost } from '../host-of-path.ts'

/**
 * `DELETE /mgmt/hosts/{host}`: removes a host without instances; with `force=true` also a silent one, whose instances are
 * lost with it: `periodic` records their servers and volumes as gone. Throws 409.
 */
export async function deleteHost(call: Call<unknown, Platform>): Promise<Mutation> {
  const { store, clock } = call.deps
  const item = await findHost(call)
  const { silentSince, ...host } = item.body
  const use = await hostUse.get(store, HOSTS_PROJECT, host.id)
  const [instance] = await instances.ofSubject(store, hostRef(host.id), { limit: 1 })
  if (instance) {
    if (parseBoolean(call.query['force']) !== true) throw conflict(`Host ${host.id} has instances.`)
    if (silentSince === undefined)
      throw conflict(`Host ${host.id} reports: only a silent host can be removed by force.`)
  }
  return {
    reply: { status: 202 },
    changes: [
      hosts.replace(item, { ...host, state: 'removed' }, { due: clock.now() }),
      // An instance that is placed there meanwhile changes it.
      { op: 'check', key: hostUse.key(HOSTS_PROJECT, host.id), was: use?.version ?? 0 },
    ],
  }
}
