import { type DatabaseSpec, Refused, type UserSpec } from '../driver.ts'
import { ANYWHERE } from './hosts.ts'
import { badLocale } from './locales.ts'
import { postgresql } from './manifest.ts'

const { reserved } = postgresql

function refuseIf(reason: string | undefined): void {
  if (reason !== undefined) throw new Refused(400, reason)
}

/** Refuses a database's name that the engine would not take, or that is the agent's. */
export function checkDatabaseName(name: string): void {
  refuseIf(postgresql.badDatabaseName(name))
  refuseIf(reserved.databases.includes(name) ? `Database ${JSON.stringify(name)} is reserved.` : undefined)
}

/** As checkDatabaseName, and a locale that the server's major version does not have. */
export function checkDatabase({ name, character_set, collate }: DatabaseSpec, major: number): void {
  checkDatabaseName(name)
  refuseIf(badLocale(character_set, collate, major))
}

/** Refuses a user's name that the engine would not take, or that is the agent's. */
export function checkUserName(name: string): void {
  refuseIf(postgresql.badUserName(name))
  const ours = reserved.users.includes(name) || reserved.userPrefixes.some(prefix => name.startsWith(prefix))
  refuseIf(ours ? `User ${JSON.stringify(name)} is reserved.` : undefined)
}

/** Refuses a host that cannot be enforced for that user. */
export function checkHost(user: string, host: string): void {
  refuseIf(postgresql.badHost(user, host))
}

/** Refuses a password that no client could send. */
export function checkPassword(password: string): void {
  refuseIf(password === '' ? 'A password must not be empty.' : undefined)
  const unsendable = password.includes('\0') || !password.isWellFormed()
  refuseIf(unsendable ? 'A password must be valid Unicode without a NUL character.' : undefined)
}

/** Refuses a user that cannot be made as asked. */
export function checkUser({ name, password, host = ANYWHERE, databases }: UserSpec): void {
  checkUserName(name)
  checkPassword(password)
  checkHost(name, host)
  for (const database of databases) checkDatabaseName(database.name)
}
