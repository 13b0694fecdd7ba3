import { detail } from '../../instances/view.ts'
import type { Call, Reply } from '../../kit/http/route.ts'
import type { Platform } from '../../platform/platform.ts'
import { loadAnyInstance, loadRootHistory } from '../instance-of-path.ts'
import { adminDetail } from '../view.ts'

/** `GET /mgmt/instances/{id}`. */
export async function showAnyInstance(call: Call<unknown, Platform>): Promise<Reply> {
  const row = await loadAnyInstance(call)
  const memberView = detail(row, { ...call, now: call.deps.clock.now() })
  return { status: 200, body: { instance: adminDetail(row, memberView, await loadRootHistory(call.deps, row)) } }
}
