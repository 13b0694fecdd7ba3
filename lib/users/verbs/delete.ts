import type { Call, Mutation } from '../../kit/http/route.ts'
import type { Platform } from '../../platform/platform.ts'
import { loadForChange } from '../user-of-path.ts'

/** `DELETE …/users/{user}`. */
export async function deleteUser(call: Call<unknown, Platform>): Promise<Mutation> {
  const { agent, id } = await loadForChange(call, 'delete_user')
  return { reply: { status: 202 }, ...(await agent.delete_user(id)) }
}
