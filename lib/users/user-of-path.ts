import { openForChange, openInstance } from '../agents/open-instance.ts'
import type { PendingView } from '../agents/pending-changes.ts'
import type { CapabilityMethod } from '../contracts/guest/guest.ts'
import { type UserView, userId } from '../contracts/guest/users.ts'
import type { UserRules } from '../datastores/capabilities.ts'
import { notFound } from '../kit/errors.ts'
import type { Call } from '../kit/http/route.ts'
import { assertUserName, isEnforceableHost } from '../model/user.ts'
import type { Platform } from '../platform/platform.ts'

type UserOperation = CapabilityMethod<'users'>

/** The path's user as its agent has it. Throws 400 for a reserved name, 404 if there is no such user. */
export async function loadUser(call: Call<unknown, Platform>, operation: UserOperation) {
  const { agent, manifest } = await openInstance(call, 'users', operation)
  const id = pathId(call, manifest.can.users)
  return { agent, user: requireUser(id, await agent.get_user(id)) }
}

/** The path's user as it will be once all accepted commands are done. Throws likewise. */
export async function loadForChange(call: Call<unknown, Platform>, operation: UserOperation) {
  const { agent, manifest, pending } = await openForChange(call, 'users', operation)
  const id = pathId(call, manifest.can.users)
  const user = requireUser(id, await pending.user(id))
  return { agent, manifest, pending, user, id: { name: user.name, host: user.host } }
}

function pathId(call: Call<unknown, Platform>, rules: UserRules) {
  const id = userId(call.params['user'] ?? '', isEnforceableHost(rules))
  assertUserName(rules, id.name, '%')
  return id
}

/** Throws 404 if there is no such user. */
export function requireUser(id: { name: string; host?: string | undefined }, user: UserView | null): UserView {
  if (!user) throw notFound(`User ${id.name}@${id.host ?? '%'} cannot be found on the instance.`)
  return user
}

/** Throws 404 if one of the databases does not exist. */
export async function requireDatabases(pending: PendingView, names: string[]): Promise<void> {
  for (const name of new Set(names)) {
    if (!(await pending.hasDatabase(name))) throw notFound(`Database ${name} cannot be found on the instance.`)
  }
}
