import { type Instance, serverOf, serviceStatusOf, volumeOf } from '../instances/instance.ts'
import { timestamp } from '../kit/time.ts'
import type { RootHistory } from '../root/root.ts'
import type { Managed } from './rows.ts'

const GIB = 1024 ** 3

const TASKS: Record<string, string> = {
  NONE: 'No tasks for the instance.',
  BUILDING: 'The instance is building.',
  DELETING: 'Deleting the instance.',
  REBOOTING: 'Rebooting the instance.',
  RESIZING: 'Resizing the instance.',
  MIGRATING: 'Migrating the instance.',
  UPGRADING: 'Upgrading the instance.',
  UPDATING: 'Updating the instance.',
  RESTART_REQUIRED: 'Instance requires a restart.',
  PROMOTING: 'Promoting the instance to replica source.',
  EJECTING: 'Ejecting the replica source.',
  DETACHING: 'Detaching the instance from replica source.',
  BUILDING_ERROR_VOLUME: 'Build error: Volume.',
  BUILDING_ERROR_SERVER: 'Build error: Server.',
  BUILDING_ERROR_TIMEOUT_GA: 'Build error: guestagent timeout.',
}

/** An instance as the management's list shows it: as everyone sees it (`shown`), and more. */
export function managed<Shown extends object>(row: Managed, shown: Shown) {
  const { task, deleted } = row
  return {
    ...shown,
    server: serverView(row),
    service_status: serviceStatusOf(row),
    deleted: deleted !== undefined,
    deleted_at: deleted === undefined ? null : timestamp(deleted),
    task_description: TASKS[task] ?? `${task}.`,
  }
}

/** An instance as the management shows it alone. */
export function managedDetail(row: Managed, seen: object, root: RootHistory | undefined) {
  const shown = managed(row, seen)
  const { service, server } = row
  const addresses = (server?.addresses ?? []).map(({ address: addr, type }) => ({ type, addr, version: 4 }))
  const networks = Object.groupBy(addresses, ({ type }) => type)
  const nova = Object.entries(networks).map(([name, list]) => [name, list.map(({ type: _, ...one }) => one)])
  return {
    ...shown,
    server: shown.server && { ...shown.server, addresses: Object.fromEntries(nova) },
    volume: volumeView(row),
    guest_status: { state_description: service?.status ?? 'new' },
    ...(root && { root_enabled: timestamp(root.enabled), root_enabled_by: root.user }),
  }
}

/** `host` is null: which machine it is on is the compute backend's to know. */
function serverView(row: Managed) {
  const { project, server, deleted } = row
  if (!server || deleted !== undefined) return null
  const name = serverOf(row)
  return { id: name, name, status: server.status, tenant_id: project, host: null }
}

function volumeView(row: Managed) {
  const { created, volume, server, deleted } = row
  const there = server !== undefined && deleted === undefined
  return {
    id: volumeOf(row),
    size: volume.sizeGb,
    status: there ? 'in-use' : deleted === undefined ? 'available' : 'deleted',
    attachments: there ? [{ server_id: serverOf(row) }] : [],
    availability_zone: null,
    created_at: timestamp(created),
    used: volume.used === undefined ? null : Math.round((100 * volume.used) / GIB) / 100,
    total: volume.sizeGb,
  }
}

/** `{"root_history":…}` in Trove's words. */
export const rootHistoryView = ({ id }: Pick<Instance, 'id'>, root: RootHistory | undefined) => ({
  root_history: { id, enabled: root ? timestamp(root.enabled) : 'Never', user: root?.user ?? 'Nobody' },
})
