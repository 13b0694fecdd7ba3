import type { Platform } from '../platform/platform.ts'
import { guests, resendCommands } from './guest.ts'

const MOST_MS = 60_000

/** Sends what an agent has not reported again, and looks at it again later: doubling, up to a minute. */
export async function resendDue(platform: Platform, project: string, instance: string): Promise<void> {
  const item = await guests.get(platform.store, project, instance)
  if (!item) return
  const { issued, done, issuedAt } = item.body
  const now = platform.clock.now()
  const again = now + Math.min(MOST_MS, Math.max(1_000, now - issuedAt))
  await platform.store.transact([guests.replace(item, item.body, { due: issued > done ? again : undefined })])
  if (issued > done) await resendCommands(platform, item.body)
}
