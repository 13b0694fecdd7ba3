import { z } from 'zod'
import { badRequest } from '../../kit/errors.ts'
import type { Call, Mutation } from '../../kit/http/route.ts'
import { assertUserName, UserChanges } from '../../model/user.ts'
import type { Platform } from '../../platform/platform.ts'
import { loadForChange } from '../user-of-path.ts'

export const UpdateBody = z.object({ user: UserChanges }).transform(({ user }) => user)

/** `PUT …/users/{user}`: another name, password or host. */
export async function updateUser(call: Call<z.infer<typeof UpdateBody>, Platform>): Promise<Mutation> {
  const { agent, manifest, pending, id } = await loadForChange(call, 'update_attributes')
  const { name = id.name, host = id.host } = call.body
  assertUserName(manifest.can.users, name, host)
  if (name !== id.name && (await pending.user({ name }))) throw badRequest(`User '${name}' already exists.`)
  const isChange = Object.keys(call.body).length > 0
  return { reply: { status: 202 }, ...(isChange && (await agent.update_attributes({ ...id, attributes: call.body }))) }
}
