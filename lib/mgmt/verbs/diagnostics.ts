import { openAnyInstance } from '../../agents/open-instance.ts'
import type { Call, Reply } from '../../kit/http/route.ts'
import type { Platform } from '../../platform/platform.ts'

/** `GET /mgmt/instances/{id}/diagnostics`: memory and threads of the database server's process. */
export async function showDiagnostics(call: Call<unknown, Platform>): Promise<Reply> {
  const { agent } = await openAnyInstance(call)
  return { status: 200, body: { diagnostics: await agent.get_diagnostics({}) } }
}
