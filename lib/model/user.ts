import { z } from 'zod'
import { DatabaseName, type DatabaseSpec } from '../contracts/guest/databases.ts'
import type { UserSpec } from '../contracts/guest/users.ts'
import type { Having, UserRules } from '../datastores/capabilities.ts'
import { badRequest, truncate } from '../kit/errors.ts'
import { assertDatabaseName, MAX_ITEMS, TOO_MANY_ITEMS_MESSAGE } from './database.ts'

const Password = z
  .string()
  .max(1024, { error: 'is too long', abort: true })
  .regex(/[\p{L}\p{N}]/u, 'does not have a letter or a digit')
  .refine(password => !password.includes('\0') && password.isWellFormed(), 'is not Unicode text without NUL')
const Host = z.string().max(255, 'is too long')
const Grants = z.array(DatabaseName)

const NewUser = z.object({ name: z.string(), password: Password, host: Host.nullish(), databases: Grants.nullish() })
type NewUser = z.infer<typeof NewUser>

/** Users in a request. The engine's manifest says which names are valid. */
export const NewUsers = z.array(NewUser).max(MAX_ITEMS, TOO_MANY_ITEMS_MESSAGE)
export const NewPasswords = z
  .array(z.object({ name: z.string(), password: Password, host: Host.nullish() }))
  .max(MAX_ITEMS, TOO_MANY_ITEMS_MESSAGE)
export const UserChanges = z.object({
  name: z.string().optional(),
  password: Password.optional(),
  host: Host.optional(),
})
/** The databases that a user is granted, by name. */
export const NamedDatabases = z.array(DatabaseName).max(MAX_ITEMS, TOO_MANY_ITEMS_MESSAGE)

/**
 * The users to create, checked against the engine's rules and each other. With `databases`, users can only be granted
 * these. Throws 400.
 */
export function checkUsers(can: Having<'users'>, users: NewUser[], databases?: DatabaseSpec[]): UserSpec[] {
  const names = new Set<string>()
  return users.map(({ name, password, host, databases: grants }) => {
    assertUserName(can.users, name, host ?? '%')
    // The engine has one role per name, whatever the host, so two users cannot share a name.
    if (names.has(name)) throw badRequest(`User '${name}' is given twice.`)
    names.add(name)
    for (const grant of grants ?? []) {
      if (!can.databases) throw badRequest(`User '${name}' cannot be granted a database: this datastore has none.`)
      assertDatabaseName(can.databases, grant.name)
      if (databases && !databases.some(database => database.name === grant.name)) {
        throw badRequest(`Database '${grant.name}' of user '${name}' is not among the databases to be created.`)
      }
    }
    return { name, password, host: host ?? '%', databases: grants ?? [] }
  })
}

/** Whether the engine can enforce this host. Only then does the text after `@` in a user's id count as a host. */
export const isEnforceableHost = (rules: UserRules) => (host: string) => rules.hostProblem('', host) === undefined

/** Throws 400 for a name that is reserved, or a name or host that the engine does not accept. */
export function assertUserName(rules: UserRules, name: string, host: string): void {
  const problem = rules.nameProblem(name) ?? rules.hostProblem(name, host)
  if (problem) throw badRequest(`The user name '${truncate(name)}' is not valid: ${problem}`)
  const { reserved, reservedPrefixes } = rules
  if (reserved.includes(name) || reservedPrefixes.some(prefix => name.startsWith(prefix)))
    throw badRequest(`User name ${name} is reserved.`)
}
