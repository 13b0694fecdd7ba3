import { z } from 'zod'
import { command, query } from '../../kit/rpc/contract.ts'
import { NoResult, PageRequest, pageOf } from './shared.ts'

/** A database to create. */
export const DatabaseSpec = z.object({
  name: z.string(),
  character_set: z.string().optional(),
  collate: z.string().optional(),
})
export type DatabaseSpec = z.infer<typeof DatabaseSpec>

/** A database as listed. */
export const DatabaseName = z.object({ name: z.string() })

/** Methods of datastores that have databases. */
export const databaseMethods = {
  create_database: command(z.object({ databases: z.array(DatabaseSpec) }), NoResult),
  delete_database: command(z.object({ name: z.string() }), NoResult),
  list_databases: query(PageRequest, pageOf(DatabaseName)),
}
