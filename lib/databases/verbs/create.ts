import { z } from 'zod'
import { openForChange } from '../../agents/open-instance.ts'
import { badRequest } from '../../kit/errors.ts'
import { assertFitsRecord } from '../../kit/http/parse.ts'
import type { Call, Mutation } from '../../kit/http/route.ts'
import { checkDatabases, NewDatabases } from '../../model/database.ts'
import type { Platform } from '../../platform/platform.ts'

/** Trove's list, or openstacksdk's single database. */
export const CreateBody = z
  .union([z.object({ databases: NewDatabases }), z.object({ database: NewDatabases.element })])
  .transform(body => ('databases' in body ? body.databases : [body.database]))

/** `POST …/databases`. */
export async function createDatabases(call: Call<z.infer<typeof CreateBody>, Platform>): Promise<Mutation> {
  assertFitsRecord(call.body)
  const { agent, manifest, pending } = await openForChange(call, 'databases', 'create_database')
  const databases = checkDatabases(manifest.can.databases, call.body)
  for (const { name } of databases) {
    if (await pending.hasDatabase(name)) throw badRequest(`Database '${name}' already exists.`)
  }
  return { reply: { status: 202 }, ...(databases.length > 0 && (await agent.create_database({ databases }))) }
}
