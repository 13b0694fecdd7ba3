import { kind } from '../kit/records.ts'
import type { Platform } from '../platform/platform.ts'
import type { Change } from '../platform/store/store.ts'
import { type RootHistory, rootHistories } from '../root/root.ts'
import type { Instance } from './instance.ts'

/** What is remembered of an instance that was deleted, for admins. */
export interface Tombstone extends Instance {
  deleted: number
  root?: RootHistory
}

/** By id alone, so that a listing over all projects is in the order of ids. */
export const tombstones = kind<Tombstone>('tombstone')
export const EVERY_PROJECT = '*'

const REMEMBERED_MS = 7 * 86_400_000

/** The changes that remember an instance which ceases to be, with its history of root. */
export async function burial({ store, clock }: Platform, instance: Instance): Promise<Change[]> {
  const root = await rootHistories.get(store, instance.project, instance.id)
  const now = clock.now()
  const body: Tombstone = { ...instance, deleted: now, ...(root && { root: root.body }) }
  return [
    { op: 'put', key: tombstones.key(EVERY_PROJECT, instance.id), body, expires: now + REMEMBERED_MS },
    ...(root ? [rootHistories.remove(root)] : []),
  ]
}
