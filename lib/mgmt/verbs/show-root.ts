import type { Call, Reply } from '../../kit/http/route.ts'
import type { Platform } from '../../platform/platform.ts'
import { loadAnyInstance, loadRootHistory } from '../instance-of-path.ts'
import { rootHistoryView } from '../view.ts'

/** `GET /mgmt/instances/{id}/root`: when root was enabled, and by whom. */
export async function showRootHistory(call: Call<unknown, Platform>): Promise<Reply> {
  const row = await loadAnyInstance(call)
  return { status: 200, body: rootHistoryView(row, await loadRootHistory(call.deps, row)) }
}
