import { z } from 'zod'
import { awaitedCommand } from '../../agents/awaited-command.ts'
import { notFound } from '../../kit/errors.ts'
import type { Call, Mutation, Reply } from '../../kit/http/route.ts'
import { requireCapability } from '../../model/catalog.ts'
import { assertDatabaseName } from '../../model/database.ts'
import { NamedDatabases } from '../../model/user.ts'
import type { Platform } from '../../platform/platform.ts'
import { loadForChange, loadUser, requireDatabases } from '../user-of-path.ts'

export const GrantBody = z.object({ databases: NamedDatabases }).transform(({ databases }) => databases)

/** `GET …/users/{user}/databases`. */
export async function listAccess(call: Call<unknown, Platform>): Promise<Reply> {
  const { agent, user } = await loadUser(call, 'list_access')
  const { name, host } = user
  return { status: 200, body: { databases: await agent.list_access({ name, host }) } }
}

/** `PUT …/users/{user}/databases`. */
export async function grantAccess(call: Call<z.infer<typeof GrantBody>, Platform>): Promise<Mutation> {
  const { agent, manifest, pending, id } = await loadForChange(call, 'grant_access')
  const { databases: rules } = requireCapability(manifest, 'databases', 'grant_access').can
  const databases = call.body.map(({ name }) => name)
  for (const name of databases) assertDatabaseName(rules, name)
  await requireDatabases(pending, databases)
  return awaitedCommand(call.deps, await agent.grant_access({ ...id, databases }), { status: 202 })
}

/** `DELETE …/users/{user}/databases/{database}`. */
export async function revokeAccess(call: Call<unknown, Platform>): Promise<Mutation> {
  const { agent, user, id } = await loadForChange(call, 'revoke_access')
  const database = call.params['database'] ?? ''
  if (!user.databases.some(({ name }) => name === database)) {
    throw notFound(`User ${id.name}@${id.host} has no access to database ${database}.`)
  }
  return awaitedCommand(call.deps, await agent.revoke_access({ ...id, database }), { status: 202 })
}
