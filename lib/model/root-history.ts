import { notFound } from '../kit/errors.ts'
import { recordType } from '../kit/records.ts'
import type { Platform } from '../platform/platform.ts'
import type { Change } from '../ports/store.ts'
import { instanceSubject, instances } from './instance.ts'

/** When root was first enabled on an instance (milliseconds since the epoch), and by which user. */
export interface RootHistory {
  enabled: number
  user: string
}
export const rootHistories = recordType<RootHistory>('root')

/**
 * The changes that record that root is enabled, if it never was. They are in the transaction of the command that enables
 * it. Throws 404 if the instance no longer exists.
 */
export async function recordRootEnabled(
  { store, clock }: Pick<Platform, 'store' | 'clock'>,
  project: string,
  instance: string,
  user: string,
): Promise<Change[]> {
  const item = await instances.get(store, project, instance)
  if (!item) throw notFound(`Resource ${instance} cannot be found.`)
  if (await rootHistories.get(store, project, instance)) return []
  return [
    rootHistories.create(project, instance, { enabled: clock.now(), user }, { subject: instanceSubject(instance) }),
    // Nothing would ever remove the history of an instance that is already deleted.
    { op: 'check', key: item.key, was: item.version },
  ]
}
