import { timestamp } from '../kit/time.ts'
import { type Instance, serverOf, taskOf, volumeOf } from '../model/instance.ts'
import { serviceStatusOf } from '../model/instance-status.ts'
import type { RootHistory } from '../model/root-history.ts'
import type { AnyInstance } from './rows.ts'

const GIB = 1024 ** 3

/** An instance in the list for admins: the view that members get, with the fields for admins. */
export function adminSummary<View extends object>(row: AnyInstance, memberView: View) {
  const { deleted } = row
  return {
    ...memberView,
    server: serverView(row),
    service_status: serviceStatusOf(row),
    deleted: deleted !== undefined,
    deleted_at: deleted === undefined ? null : timestamp(deleted),
    task_description: taskOf(row).text,
  }
}

/** One instance for admins. */
export function adminDetail(row: AnyInstance, memberView: object, root: RootHistory | undefined) {
  const view = adminSummary(row, memberView)
  const { agentReport, server } = row
  const addresses = (server?.addresses ?? []).map(({ address: addr, type }) => ({ type, addr, version: 4 }))
  const networks = Object.groupBy(addresses, ({ type }) => type)
  // As Nova has them: addresses by network.
  const byNetwork = Object.entries(networks).map(([name, list]) => [name, list.map(({ type: _, ...rest }) => rest)])
  return {
    ...view,
    server: view.server && { ...view.server, addresses: Object.fromEntries(byNetwork) },
    volume: volumeView(row),
    guest_status: { state_description: agentReport?.status ?? 'new' },
    ...(root && { root_enabled: timestamp(root.enabled), root_enabled_by: root.user }),
  }
}

/** `host` is null where compute does not say on which host a server runs. */
function serverView(row: AnyInstance) {
  const { project, server, deleted, host = null } = row
  if (!server || deleted !== undefined) return null
  const name = serverOf(row)
  return { id: name, name, status: server.status, tenant_id: project, host }
}

function volumeView(row: AnyInstance) {
  const { created, volume, server, deleted } = row
  const isAttached = server !== undefined && deleted === undefined
  return {
    id: volumeOf(row),
    size: volume.sizeGb,
    status: isAttached ? 'in-use' : deleted === undefined ? 'available' : 'deleted',
    attachments: isAttached ? [{ server_id: serverOf(row) }] : [],
    availability_zone: null,
    created_at: timestamp(created),
    used: volume.used === undefined ? null : Math.round((100 * volume.used) / GIB) / 100,
    total: volume.sizeGb,
  }
}

/** `{"root_history":…}`, as Trove writes it. */
export const rootHistoryView = ({ id }: Pick<Instance, 'id'>, root: RootHistory | undefined) => ({
  root_history: { id, enabled: root ? timestamp(root.enabled) : 'Never', user: root?.user ?? 'Nobody' },
})
