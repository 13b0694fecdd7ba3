import { escapeIdentifier, escapeLiteral } from 'pg'

/** A name as an SQL identifier. */
export const identifier = escapeIdentifier

/** A value as an SQL literal. */
export const literal = escapeLiteral

/** Names as a list of SQL identifiers. */
export const identifiers = (names: string[]) => names.map(identifier).join(', ')

/** Ends a user's sessions, in one database or in all: tells every one to go, then waits up to 5 s for each left. */
export function endSessions(user: string, database?: string): string[] {
  const there = database === undefined ? '' : ` AND datname = ${literal(database)}`
  const sessions = `FROM pg_stat_activity WHERE usename = ${literal(user)}${there}`
  return [`SELECT pg_terminate_backend(pid) ${sessions}`, `SELECT pg_terminate_backend(pid, 5000) ${sessions}`]
}
