import { openInstance } from '../../agents/open-instance.ts'
import type { Call, Reply } from '../../kit/http/route.ts'
import type { Platform } from '../../platform/platform.ts'

/** `GET …/root`: whether root is enabled. */
export async function showRoot(call: Call<unknown, Platform>): Promise<Reply> {
  const { agent } = await openInstance(call, 'root', 'is_root_enabled')
  return { status: 200, body: { rootEnabled: await agent.is_root_enabled({}) } }
}
