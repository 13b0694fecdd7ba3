import { z } from 'zod'
import { DatabaseName, type DatabaseSpec } from '../contracts/guest/databases.ts'
import type { DatabaseRules } from '../datastores/capabilities.ts'
import { badRequest, truncate } from '../kit/errors.ts'

/** The maximum of databases or users in one request: the engine executes a statement for each. */
export const MAX_ITEMS = 500
export const TOO_MANY_ITEMS_MESSAGE = `are more than ${MAX_ITEMS}`

const NewDatabase = z.object({ name: z.string(), character_set: z.string().nullish(), collate: z.string().nullish() })
type NewDatabase = z.infer<typeof NewDatabase>

/** A database as the API shows it. */
export const DatabaseView = z.strictObject(DatabaseName.shape).meta({ id: 'Database' })

/** Databases in a request. The engine's manifest says which names are valid. */
export const NewDatabases = z.array(NewDatabase).max(MAX_ITEMS, TOO_MANY_ITEMS_MESSAGE)

/** The databases to create, checked against the engine's rules and each other. Throws 400. */
export function checkDatabases(rules: DatabaseRules, databases: NewDatabase[]): DatabaseSpec[] {
  const names = new Set<string>()
  return databases.map(({ name, character_set, collate }) => {
    assertDatabaseName(rules, name)
    if (names.has(name)) throw badRequest(`Database '${name}' is given twice.`)
    names.add(name)
    const problem = rules.localeProblem(character_set ?? undefined, collate ?? undefined)
    if (problem) throw badRequest(`Database '${name}': ${problem}`)
    return { name, ...(character_set && { character_set }), ...(collate && { collate }) }
  })
}

/** Throws 400 for a name that is reserved or that the engine does not accept. */
export function assertDatabaseName(rules: DatabaseRules, name: string): void {
  const problem = rules.nameProblem(name)
  if (problem) throw badRequest(`The database name '${truncate(name)}' is not valid: ${problem}`)
  if (rules.reserved.includes(name)) throw badRequest(`Database name ${name} is reserved.`)
}
