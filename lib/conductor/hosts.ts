import type { HostReport } from '../contracts/conductor.ts'
import { withOptimisticRetry } from '../kit/records.ts'
import { hasEnded, sagas } from '../kit/saga/saga.ts'
import { ramQuota } from '../model/flavor.ts'
import { HOSTS_PROJECT, type Host, hostRef, hosts } from '../model/host.ts'
import { type Instance, instances } from '../model/instance.ts'
import { memoryChanges } from '../model/quota.ts'
import type { Platform } from '../platform/platform.ts'
import type { Store } from '../ports/store.ts'

type Deps = Pick<Platform, 'store' | 'clock' | 'compute'>

/** Where the registration comes from. */
interface Registration {
  /** The number of the host's report; undefined = its launcher registers it before it starts. */
  sequence?: number
  /** The master key of the host's keys. */
  kid?: string | undefined
}

/**
 * Records what a host has: as it reports, or as its launcher says before it starts. Only a start brings a removed host
 * back. A host that was silent stays so until `periodic` has seen to its instances. False if ignored, as is a report that
 * comes after a later one.
 */
export async function registerHost(
  deps: Deps,
  id: string,
  report: HostReport,
  { sequence: number, kid }: Registration = {},
): Promise<boolean> {
  const isStart = number === undefined
  const { store, clock, compute } = deps
  if (id === compute.defaultHost && !(await hosts.get(store, HOSTS_PROJECT, id))) await adoptInstances(store, id)
  return withOptimisticRetry(store, async () => {
    const item = await hosts.get(store, HOSTS_PROJECT, id)
    const { state = 'active', silentSince, sequence: previous } = item?.body ?? {}
    const sequence = number ?? previous
    const isLate = number !== undefined && previous !== undefined && number <= previous
    if (isLate || (state === 'removed' && !isStart)) return { changes: [], result: false }
    const now = clock.now()
    const body: Host = {
      id,
      state: state === 'removed' ? 'active' : state,
      ramMb: report.ram_mb,
      engines: report.engines,
      network: report.network,
      version: report.version,
      ...(kid !== undefined && { kid }),
      lastReport: now,
      leaseMs: report.lease_ms,
      ...(sequence !== undefined && { sequence }),
      ...(silentSince !== undefined && state !== 'removed' && { silentSince }),
    }
    const due = body.silentSince === undefined ? now + report.lease_ms : now
    const change = item ? hosts.replace(item, body, { due }) : hosts.create(HOSTS_PROJECT, id, body, { due })
    return { changes: [change], result: true }
  })
}

/**
 * Gives the instances of a time before there were several hosts to the default one, before it is first recorded: each
 * together with its memory, so that this can be interrupted and repeated.
 */
async function adoptInstances(store: Store, host: string): Promise<void> {
  let after: string | undefined
  do {
    const page = await instances.all(store, { limit: 100, ...(after !== undefined && { after }) })
    for (const { body } of page.items) if (body.host === undefined) await adoptInstance(store, host, body)
    after = page.next
  } while (after !== undefined)
}

async function adoptInstance(store: Store, host: string, { project, id }: Instance): Promise<void> {
  await withOptimisticRetry(store, async () => {
    const item = await instances.get(store, project, id)
    if (!item || item.body.host !== undefined) return { changes: [], result: undefined }
    const adopted = instances.replace(item, { ...item.body, host }, { subject: hostRef(host) })
    return { changes: [adopted, ...memoryChanges(host, await heldMemory(store, item.body))], result: undefined }
  })
}

/** What an instance holds of its host's memory; a resize under way has reserved what it grows by. */
async function heldMemory(store: Store, instance: Instance): Promise<number> {
  const { project, operation, abortedOperation, quotaReleased } = instance
  if (quotaReleased) return 0
  const resize = [operation, abortedOperation].find(ref => ref?.name === 'resize_flavor')
  const record = resize && (await sagas.get(store, project, resize.id))?.body
  const { to = instance.flavor } = (record && !hasEnded(record) ? record.request : {}) as { to?: string }
  return Math.max(ramQuota(instance), ramQuota({ flavor: to }))
}
