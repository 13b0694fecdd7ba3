import { kind, retrying } from '../kit/records.ts'
import type { Platform } from '../platform/platform.ts'

/** That root was enabled on an instance: when at first (milliseconds since the epoch), and by which user. */
export interface RootHistory {
  enabled: number
  user: string
}
export const rootHistories = kind<RootHistory>('root')

/** Writes down that root is about to be enabled; the first time is kept. Before the command, so that no enabling goes unseen. */
export async function noteRoot(
  { store, clock }: Pick<Platform, 'store' | 'clock'>,
  project: string,
  instance: string,
  user: string,
): Promise<void> {
  await retrying(store, async () => {
    const known = await rootHistories.get(store, project, instance)
    const made = { enabled: clock.now(), user }
    return { changes: known ? [] : [rootHistories.create(project, instance, made, { instance })], result: undefined }
  })
}
