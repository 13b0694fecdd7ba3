import type { Platform } from '../platform/platform.ts'
import { guests, openCommands, resendCommands } from './guest.ts'

const LEAST_MS = 1_000
/** Where the queue tells what lies in it nothing is sent twice to an agent that is gone; elsewhere that shall not pile up. */
const MOST_MS = { told: 60_000, untold: 900_000 }

/** Sends what an agent has not reported again, and looks at it again later: as late as the first of it is old, up to a minute (or 15). */
export async function resendDue(platform: Platform, project: string, instance: string): Promise<void> {
  const { store, queue, clock } = platform
  const item = await guests.get(store, project, instance)
  if (!item) return
  const open = await openCommands(platform, item.body)
  const age = clock.now() - (open[0]?.issued ?? item.body.issuedAt)
  const again = Math.min(queue.backlog ? MOST_MS.told : MOST_MS.untold, Math.max(LEAST_MS, age))
  const hasMore = item.body.issued > item.body.done
  await store.transact([guests.replace(item, item.body, { due: hasMore ? clock.now() + again : undefined })])
  if (hasMore) await resendCommands(platform, item.body, open)
}
