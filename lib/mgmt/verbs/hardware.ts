import { openAnyInstance } from '../../agents/open-instance.ts'
import type { Call, Reply } from '../../kit/http/route.ts'
import type { Platform } from '../../platform/platform.ts'

/** `GET /mgmt/instances/{id}/hwinfo`: processors and memory of the machine, as the agent reads them. */
export async function showHardware(call: Call<unknown, Platform>): Promise<Reply> {
  const { agent } = await openAnyInstance(call)
  return { status: 200, body: { hwinfo: await agent.get_hwinfo({}) } }
}
