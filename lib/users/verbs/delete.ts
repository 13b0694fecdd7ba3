import type { Call, Reply } from '../../kit/http/route.ts'
import type { Platform } from '../../platform/platform.ts'
import { loadForChange } from '../user-of-path.ts'

/** `DELETE …/users/{user}`. */
export async function deleteUser(call: Call<unknown, Platform>): Promise<Reply> {
  const { agent, id } = await loadForChange(call)
  await agent.delete_user(id)
  return { status: 202 }
}
