import { notFound } from '../kit/errors.ts'
import { recordType, withOptimisticRetry } from '../kit/records.ts'
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
 * Records that root is about to be enabled, unless it was before. Call it before the command, so that every enabling is
 * recorded. Throws 404 if the instance no longer exists.
 */
export async function recordRootEnabled(
  { store, clock }: Pick<Platform, 'store' | 'clock'>,
  project: string,
  instance: string,
  user: string,
): Promise<void> {
  await withOptimisticRetry(store, async () => {
    const item = await instances.get(store, project, instance)
    if (!item) throw notFound(`Resource ${instance} cannot be found.`)
    const existing = await rootHistories.get(store, project, instance)
    const history = { enabled: clock.now(), user }
    const changes: Change[] = [
      rootHistories.create(project, instance, history, { subject: instanceSubject(instance) }),
      // Nothing would ever remove the history of an instance that is already deleted.
      { op: 'check', key: item.key, was: item.version },
    ]
    return { changes: existing ? [] : changes, result: undefined }
  })
}
