import { z } from 'zod'
import { DatabaseName, type DatabaseSpec } from '../databases/database.ts'
import type { Manifest } from '../datastores/manifest.ts'
import { badRequest, cut } from '../kit/errors.ts'
import type { UserSpec } from './user.ts'

const Password = z
  .string()
  .max(1024, 'is too long')
  .regex(/[\p{L}\p{N}]/u, 'does not have a letter or a digit')
  .refine(password => !password.includes('\0') && password.isWellFormed(), 'is not Unicode text without NUL')
const Host = z.string().max(255, 'is too long')
const Grants = z.array(DatabaseName)

const NewUser = z.object({ name: z.string(), password: Password, host: Host.nullish(), databases: Grants.nullish() })
export type NewUser = z.infer<typeof NewUser>
const NewDatabase = z.object({ name: z.string(), character_set: z.string().nullish(), collate: z.string().nullish() })
export type NewDatabase = z.infer<typeof NewDatabase>

/** The most databases or users of one request: each costs the engine a statement. */
const MOST = 500
const many = `are more than ${MOST}`

/** What request bodies hold. Which names an engine takes is its manifest's to say. */
export const NewDatabases = z.array(NewDatabase).max(MOST, many)
export const NewUsers = z.array(NewUser).max(MOST, many)
export const NewPasswords = z
  .array(z.object({ name: z.string(), password: Password, host: Host.nullish() }))
  .max(MOST, many)
export const UserChanges = z.object({
  name: z.string().optional(),
  password: Password.optional(),
  host: Host.optional(),
})
/** Databases by name: what a user is granted. */
export const NamedDatabases = z.array(DatabaseName).max(MOST, many)

/** The databases to make, checked against the engine's rules and each other. Throws 400. */
export function checkedDatabases(manifest: Manifest, wanted: NewDatabase[]): DatabaseSpec[] {
  const seen = new Set<string>()
  return wanted.map(({ name, character_set, collate }) => {
    assertDatabaseName(manifest, name)
    if (seen.has(name)) throw badRequest(`Database '${name}' is given twice.`)
    seen.add(name)
    const why = manifest.badLocale(character_set ?? undefined, collate ?? undefined)
    if (why) throw badRequest(`Database '${name}': ${why}`)
    return { name, ...(character_set && { character_set }), ...(collate && { collate }) }
  })
}

/** Throws 400 for a name that is reserved or that the engine would not take. */
export function assertDatabaseName(manifest: Manifest, name: string): void {
  const why = manifest.badDatabaseName(name)
  if (why) throw badRequest(`The database name '${cut(name)}' is not valid: ${why}`)
  if (manifest.reserved.databases.includes(name)) throw badRequest(`Database name ${name} is reserved.`)
}

/** The users to make, checked likewise. With `databases`, each grant must be of one of them. Throws 400. */
export function checkedUsers(manifest: Manifest, wanted: NewUser[], databases?: DatabaseSpec[]): UserSpec[] {
  const seen = new Set<string>()
  return wanted.map(({ name, password, host, databases: grants }) => {
    assertUserName(manifest, name, host ?? '%')
    // One engine role for a name, whatever the host: two of one name cannot be told apart.
    if (seen.has(name)) throw badRequest(`User '${name}' is given twice.`)
    seen.add(name)
    for (const grant of grants ?? []) {
      assertDatabaseName(manifest, grant.name)
      if (databases && !databases.some(database => database.name === grant.name)) {
        throw badRequest(`Database '${grant.name}' of user '${name}' is not among the databases to be created.`)
      }
    }
    return { name, password, host: host ?? '%', databases: grants ?? [] }
  })
}

/** Whether the engine can hold users to this host: what follows an `@` in an id is one only then. */
export const isHost = (manifest: Manifest) => (host: string) => manifest.badHost('', host) === undefined

/** Throws 400 for a user that is reserved or that the engine would not take from that host. */
export function assertUserName(manifest: Manifest, name: string, host: string): void {
  const why = manifest.badUserName(name) ?? manifest.badHost(name, host)
  if (why) throw badRequest(`The user name '${cut(name)}' is not valid: ${why}`)
  const { users, userPrefixes } = manifest.reserved
  if (users.includes(name) || userPrefixes.some(prefix => name.startsWith(prefix)))
    throw badRequest(`User name ${name} is reserved.`)
}
