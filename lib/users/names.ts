import { z } from 'zod'
import type { DatabaseSpec } from '../databases/database.ts'
import type { Manifest } from '../datastores/manifest.ts'
import { badRequest } from '../kit/errors.ts'
import type { UserSpec } from './user.ts'

const Password = z
  .string()
  .max(1024, 'is too long')
  .regex(/[\p{L}\p{N}]/u, 'does not have a letter or a digit')
  // biome-ignore lint/suspicious/noControlCharactersInRegex: a NUL ends a password early
  .regex(/^[^\u0000]*$/, 'has a NUL character')
const Host = z
  .string()
  .max(255)
  .regex(/^[%]?[\w(\-).]*[%]?$/, 'is not a host')
const Grants = z.array(z.object({ name: z.string() }))

/** The schemas of users in request bodies. Which names an engine takes is its manifest's to say. */
export const userName = {
  new: z.object({ name: z.string(), password: Password, host: Host.nullish(), databases: Grants.nullish() }),
  password: z.object({ name: z.string(), password: Password, host: Host.nullish() }),
  changed: z.object({ name: z.string().optional(), password: Password.optional(), host: Host.optional() }),
}
export type NewUser = z.infer<typeof userName.new>
export type NewDatabase = {
  name: string
  character_set?: string | null | undefined
  collate?: string | null | undefined
}

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
  if (why) throw badRequest(`The database name '${shown(name)}' is not valid: ${why}`)
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

/** Throws 400 for a user that is reserved or that the engine would not take from that host. */
export function assertUserName(manifest: Manifest, name: string, host: string): void {
  const why = manifest.badUserName(name) ?? manifest.badHost(name, host)
  if (why) throw badRequest(`The user name '${shown(name)}' is not valid: ${why}`)
  const { users, userPrefixes } = manifest.reserved
  if (users.includes(name) || userPrefixes.some(prefix => name.startsWith(prefix)))
    throw badRequest(`User name ${name} is reserved.`)
}

const shown = (name: string) => (name.length > 80 ? `${name.slice(0, 80)}…` : name)
