import type { Call, Reply } from '../../kit/http/route.ts'
import type { Platform } from '../../platform/platform.ts'
import { loadUser } from '../user-of-path.ts'

/** `GET …/users/{user}`. */
export async function showUser(call: Call<unknown, Platform>): Promise<Reply> {
  const { user } = await loadUser(call, 'get_user')
  return { status: 200, body: { user } }
}
