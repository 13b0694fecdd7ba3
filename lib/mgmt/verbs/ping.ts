import { openAnyInstance } from '../../agents/open-instance.ts'
import type { Call, Reply } from '../../kit/http/route.ts'
import type { Platform } from '../../platform/platform.ts'

/** `GET /mgmt/instances/{id}/rpc_ping`. Throws 504 if the agent does not answer. */
export async function pingAgent(call: Call<unknown, Platform>): Promise<Reply> {
  const { agent } = await openAnyInstance(call)
  await agent.rpc_ping({})
  return { status: 204 }
}
