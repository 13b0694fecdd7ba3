import { recordType } from '../kit/records.ts'
import type { Platform } from '../platform/platform.ts'
import type { Change } from '../ports/store.ts'
import { type Instance, upgradeInstance } from './instance.ts'
import { type RootHistory, rootHistories } from './root-history.ts'

/** A deleted instance as admins see it. `deleted` is in milliseconds since the epoch. */
export interface DeletedInstance extends Instance {
  deleted: number
  root?: RootHistory
}

/** Stored under one project, so that a list of all projects is in the order of ids. */
export const deletedInstances = recordType<DeletedInstance>('tombstone', upgradeInstance)
export const ALL_PROJECTS = '*'

const RETENTION_MS = 7 * 86_400_000

/** The changes that keep a record of an instance that is being deleted, and move its root history there. */
export async function recordDeletion({ store, clock }: Platform, instance: Instance): Promise<Change[]> {
  const root = await rootHistories.get(store, instance.project, instance.id)
  const now = clock.now()
  const body: DeletedInstance = { ...instance, deleted: now, ...(root && { root: root.body }) }
  return [
    { op: 'put', key: deletedInstances.key(ALL_PROJECTS, instance.id), body, expires: now + RETENTION_MS },
    ...(root ? [rootHistories.remove(root)] : []),
  ]
}
