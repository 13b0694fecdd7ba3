import { z } from 'zod'
import { openForChange } from '../../agents/open-instance.ts'
import { badRequest } from '../../kit/errors.ts'
import { assertFitsRecord } from '../../kit/http/parse.ts'
import type { Call, Mutation } from '../../kit/http/route.ts'
import { checkUsers, NewUsers } from '../../model/user.ts'
import type { Platform } from '../../platform/platform.ts'
import { requireDatabases } from '../user-of-path.ts'

/** Trove's list, or openstacksdk's single user. */
export const CreateBody = z
  .object({ users: z.union([NewUsers, NewUsers.element]) })
  .transform(({ users }) => (Array.isArray(users) ? users : [users]))
type CreateBody = z.infer<typeof CreateBody>

/** `POST …/users`. */
export async function createUsers(call: Call<CreateBody, Platform>): Promise<Mutation> {
  assertFitsRecord(call.body)
  const { agent, manifest, pending } = await openForChange(call, 'users', 'create_user')
  const users = checkUsers(manifest.can, call.body)
  for (const { name } of users) {
    if (await pending.user({ name })) throw badRequest(`User '${name}' already exists.`)
  }
  const databases = users.flatMap(user => user.databases.map(({ name }) => name))
  await requireDatabases(pending, databases)
  return { reply: { status: 202 }, ...(users.length > 0 && (await agent.create_user({ users }))) }
}

/** `POST …/users/{user}`: the one user of the body must be the one of the path. */
export async function createNamedUser(call: Call<CreateBody, Platform>): Promise<Mutation> {
  const [user, ...others] = call.body
  if (user?.name !== call.params['user'] || others.length > 0)
    throw badRequest('The body must have the user of the path.')
  return createUsers(call)
}
