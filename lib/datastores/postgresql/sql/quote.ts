import { escapeIdentifier, escapeLiteral } from 'pg'

/** A name as an SQL identifier. */
export const identifier = escapeIdentifier

/** A value as an SQL literal. */
export const literal = escapeLiteral

/** Names as a list of SQL identifiers. */
export const identifiers = (names: string[]) => names.map(identifier).join(', ')

/**
 * Statements that end a user's sessions, in one database or in all: all get the signal, then each is waited for up to 5
 * s.
 */
export function endSessions(user: string, database?: string): string[] {
  const inDatabase = database === undefined ? '' : ` AND datname = ${literal(database)}`
  const sessions = `FROM pg_stat_activity WHERE usename = ${literal(user)}${inDatabase}`
  return [`SELECT pg_terminate_backend(pid) ${sessions}`, `SELECT pg_terminate_backend(pid, 5000) ${sessions}`]
}
