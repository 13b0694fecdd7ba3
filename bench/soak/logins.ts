import { setTimeout as sleep } from 'node:timers/promises'
import { messageOf } from '../../lib/kit/errors.ts'
import type { Answer } from '../../test/e2e/coffer.ts'
import { BASE, type CommandStatus, type Entry, possiblePasswords } from './ledger.ts'
import { type Login, runSql } from './sql.ts'

/** Runs statements as a user of the instance, or throws. */
export type Sql = (instance: Answer['body'], login: Login, statements: string[]) => Promise<Record<string, unknown>[]>

export const sqlWith =
  (ca: string): Sql =>
  (instance, login, statements) =>
    runSql(instance, login, ca, statements)

const PAUSE_MS = 1_000
const TRIES = 5

/** What a database says to a password or a user that is not valid. */
const REFUSED = /password authentication failed|is not permitted to log in|does not exist/

/** Users of an instance that cannot log in as they should, or can as they should not. */
export async function loginProblems(
  sql: Sql,
  instance: Answer['body'],
  { changes }: Pick<Entry, 'changes'>,
  statusOf: (requestId: string) => CommandStatus,
): Promise<string[]> {
  const problems: string[] = []
  for (const [user, history] of changes) {
    const possible = possiblePasswords(history, statusOf)
    const database = user === 'root' ? 'postgres' : BASE
    const passwords = new Set(history.flatMap(({ password }) => password ?? []))
    const accepted: string[] = []
    for (const password of passwords) {
      const answer = await tryLogin(sql, instance, { user, password, database })
      if (answer === true) accepted.push(password)
      else if (!REFUSED.test(answer)) problems.push(`${user} of ${instance.id} cannot be tried: ${answer}`)
    }
    const where = `${user} of ${instance.id}`
    if (accepted.some(password => !possible.has(password))) problems.push(`${where} can log in by an old password`)
    const canLogIn = accepted.some(password => possible.has(password))
    if (!canLogIn && !possible.has(undefined)) problems.push(`${where} cannot log in`)
  }
  return problems
}

/** Rows that the database confirmed and does not have. */
export async function rowProblems(
  sql: Sql,
  instance: Answer['body'],
  { writer, rows }: Pick<Entry, 'writer' | 'rows'>,
): Promise<string[]> {
  if (!writer || rows.size === 0) return []
  const login = { user: writer.name, password: writer.password, database: BASE }
  try {
    const stored = new Set((await sql(instance, login, ['SELECT id FROM written'])).map(({ id }) => Number(id)))
    const lost = [...rows].filter(row => !stored.has(row))
    return lost.length === 0 ? [] : [`${lost.length} confirmed rows of ${instance.id} are lost`]
  } catch (error) {
    return [`the rows of ${instance.id} cannot be read: ${messageOf(error)}`]
  }
}

/** True, or why not. A failure that is no refusal is tried again. */
async function tryLogin(sql: Sql, instance: Answer['body'], login: Login): Promise<true | string> {
  for (let tries = 1; ; tries++) {
    try {
      await sql(instance, login, ['SELECT 1'])
      return true
    } catch (error) {
      const message = messageOf(error)
      if (REFUSED.test(message) || tries === TRIES) return message
    }
    await sleep(PAUSE_MS)
  }
}
