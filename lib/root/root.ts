import { instances } from '../instances/instance.ts'
import { notFound } from '../kit/errors.ts'
import { kind, retrying } from '../kit/records.ts'
import type { Platform } from '../platform/platform.ts'
import type { Change } from '../platform/store/store.ts'

/** That root was enabled on an instance: when at first (milliseconds since the epoch), and by which user. */
export interface RootHistory {
  enabled: number
  user: string
}
export const rootHistories = kind<RootHistory>('root')

/**
 * Writes down that root is about to be enabled; the first time is kept. Before the command, so that no enabling goes
 * unseen. Throws 404 if the instance is gone meanwhile.
 */
export async function noteRoot(
  { store, clock }: Pick<Platform, 'store' | 'clock'>,
  project: string,
  instance: string,
  user: string,
): Promise<void> {
  await retrying(store, async () => {
    const item = await instances.get(store, project, instance)
    if (!item) throw notFound(`Resource ${instance} cannot be found.`)
    const known = await rootHistories.get(store, project, instance)
    const made = { enabled: clock.now(), user }
    const changes: Change[] = [
      rootHistories.create(project, instance, made, { instance }),
      // A history of an instance that has ended would stay for ever.
      { op: 'check', key: item.key, was: item.version },
    ]
    return { changes: known ? [] : changes, result: undefined }
  })
}
