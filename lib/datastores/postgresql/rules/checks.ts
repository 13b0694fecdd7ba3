import { type DatabaseSpec, RejectedByDatastore, type UserSpec } from '../../driver.ts'
import { postgresqlManifest } from '../manifest.ts'
import { ANY_HOST } from './host-patterns.ts'
import { localeProblem } from './locales.ts'

const { databases: databaseRules, users: userRules } = postgresqlManifest.can

function rejectIf(reason: string | undefined): void {
  if (reason !== undefined) throw new RejectedByDatastore(400, reason)
}

/** Rejects a database's name that the engine would refuse, or that is reserved. */
function checkDatabaseName(name: string): void {
  rejectIf(databaseRules.nameProblem(name))
  rejectIf(databaseRules.reserved.includes(name) ? `Database ${JSON.stringify(name)} is reserved.` : undefined)
}

/** As checkDatabaseName, and rejects a locale that the server's major version does not have. */
export function checkDatabase({ name, character_set, collate }: DatabaseSpec, major: number): void {
  checkDatabaseName(name)
  rejectIf(localeProblem(character_set, collate, major))
}

/** Rejects a user's name that the engine would refuse, or that is reserved. */
export function checkUserName(name: string): void {
  rejectIf(userRules.nameProblem(name))
  const { reserved, reservedPrefixes } = userRules
  const isReserved = reserved.includes(name) || reservedPrefixes.some(prefix => name.startsWith(prefix))
  rejectIf(isReserved ? `User ${JSON.stringify(name)} is reserved.` : undefined)
}

/** Rejects a host that cannot be enforced for that user. */
export function checkHost(user: string, host: string): void {
  rejectIf(userRules.hostProblem(user, host))
}

/** Rejects a password that no client could send. */
export function checkPassword(password: string): void {
  rejectIf(password === '' ? 'A password must not be empty.' : undefined)
  const unsendable = password.includes('\0') || !password.isWellFormed()
  rejectIf(unsendable ? 'A password must be valid Unicode without a NUL character.' : undefined)
}

/** Rejects a user that cannot be created as specified. */
export function checkUser({ name, password, host = ANY_HOST, databases }: UserSpec): void {
  checkUserName(name)
  checkPassword(password)
  checkHost(name, host)
  for (const database of databases) checkDatabaseName(database.name)
}
