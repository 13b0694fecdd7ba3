import { timestamp } from '../kit/time.ts'
import type { Host } from '../model/host.ts'
import { type Instance, serverOf } from '../model/instance.ts'
import { statusOf } from '../model/instance-status.ts'

/** A host as Trove's management showed it, and what ours has besides. `totalRAM` and `usedRAM` in MB. */
export function hostSummary(host: Host, usedMb: number) {
  const { id, ramMb, state, engines, network, version, lastReport, silentSince } = host
  return {
    name: id,
    totalRAM: ramMb,
    usedRAM: usedMb,
    percentUsed: Math.round((100 * usedMb) / ramMb),
    state,
    engines: Object.entries(engines).map(([manager, versions]) => ({ manager, versions })),
    network,
    version,
    last_report: timestamp(lastReport),
    silent_since: silentSince === undefined ? null : timestamp(silentSince),
  }
}

/** An instance in the view of its host. */
export const instanceOnHost = (instance: Instance) => ({
  id: instance.id,
  name: instance.name,
  status: statusOf(instance),
  server_id: serverOf(instance),
  tenant_id: instance.project,
})
