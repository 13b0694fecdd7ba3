import { openForChange } from '../../agents/open-instance.ts'
import { notFound } from '../../kit/errors.ts'
import type { Call, Mutation } from '../../kit/http/route.ts'
import { assertDatabaseName } from '../../model/database.ts'
import type { Platform } from '../../platform/platform.ts'

/** `DELETE …/databases/{name}`. */
export async function deleteDatabase(call: Call<unknown, Platform>): Promise<Mutation> {
  const { agent, manifest, pending } = await openForChange(call, 'databases', 'delete_database')
  const name = call.params['name'] ?? ''
  assertDatabaseName(manifest.can.databases, name)
  if (!(await pending.hasDatabase(name))) throw notFound(`Database ${name} cannot be found on the instance.`)
  return { reply: { status: 202 }, ...(await agent.delete_database({ name })) }
}
