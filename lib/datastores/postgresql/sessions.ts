import { createHash } from 'node:crypto'
import { Client, type ClientConfig, DatabaseError, type QueryResultRow } from 'pg'
import { codeOf, reason } from '../../kit/errors.ts'
import type { Site } from '../driver.ts'
import { layout, majorIn } from './engine.ts'
import { textOf } from './files.ts'

/** The agent's roles: the limited one for daily work, and the superuser it is made by. */
export type Role = 'os_admin' | 'os_maint'

/** How the server is spoken to. */
export type Sessions = ReturnType<typeof postgresqlSessions>

const INSUFFICIENT_PRIVILEGE = '42501'

/** A question is asked by someone who waits at most 25 s. */
const QUESTION_LIMIT = 15_000

const TOO_MANY_CONNECTIONS = '53300'

// A tenant's schema must not stand in for the catalogue.
const OPTIONS = '-c search_path=pg_catalog,pg_temp'

/** Nor may a tenant's trigger run as superuser: before 17, only those are held back that are not set to fire always. */
const optionsOf = (role: Role, major: number) =>
  role === 'os_admin'
    ? OPTIONS
    : `${OPTIONS} -c ${major < 17 ? 'session_replication_role=replica' : 'event_triggers=off'}`

/** The SQLSTATE of a server's error, or undefined if it is another kind of error. */
export const sqlState = (error: unknown) => (error instanceof DatabaseError ? error.code : undefined)

/** An error after which the session is of no use: not an answer of the server, or its last one. */
const lost = (error: unknown) => !(error instanceof DatabaseError) || /^(57P0|08)/.test(error.code ?? '')

/** Whether the server was not there, or went away in the middle: not an answer that it will give again. */
export function wasLost(error: unknown): boolean {
  if (error instanceof DatabaseError) return /^(57P0|08)/.test(error.code ?? '')
  return /^(ECONN|EPIPE)/.test(codeOf(error) ?? '') || /^Connection terminated/.test(reason(error))
}

// A named statement is planned once for the session, which is most of what a listing costs.
const nameOf = (text: string) => createHash('md5').update(text).digest('hex')

/** Sessions of the agent with its server. */
export function postgresqlSessions(site: Site) {
  let reader: Promise<Client> | undefined

  async function connect(role: Role, database: string, more: ClientConfig = {}): Promise<Client> {
    const major = await majorIn(site.volume)
    try {
      return await connectAs(role, database, { options: optionsOf(role, major), ...more })
    } catch (error) {
      if (role !== 'os_admin' || sqlState(error) !== TOO_MANY_CONNECTIONS) throw error
      // Tenants use all others; those that are left are for superusers, one of whom becomes the limited role at once.
      return connectAs('os_maint', database, { options: `${optionsOf('os_maint', major)} -c role=os_admin`, ...more })
    }
  }

  async function connectAs(role: Role, database: string, more: ClientConfig): Promise<Client> {
    const password = await textOf(layout(site.volume).password(role))
    if (password === undefined) throw new Error(`there is no password of ${role} in the volume`)
    const client = new Client({
      host: site.address,
      port: site.port,
      user: role,
      password,
      database,
      application_name: 'coffer',
      connectionTimeoutMillis: 5_000,
      statement_timeout: 300_000,
      lock_timeout: 30_000,
      ...more,
    })
    // An idle session that breaks is found out by the next one who uses it.
    client.on('error', () => undefined)
    await client.connect()
    return client
  }

  async function within<T>(role: Role, database: string, work: (client: Client) => Promise<T>): Promise<T> {
    const client = await connect(role, database)
    try {
      return await work(client)
    } finally {
      client.end().catch(() => undefined)
    }
  }

  async function close(): Promise<void> {
    const open = reader
    reader = undefined
    await open?.then(client => client.end()).catch(() => undefined)
  }

  /** The one session that is kept open, so that a question costs one round trip. */
  function questions(): Promise<Client> {
    if (reader) return reader
    const opening = connect('os_admin', 'postgres', { query_timeout: QUESTION_LIMIT })
    const forget = () => {
      if (reader === opening) reader = undefined
    }
    opening.then(client => client.once('end', forget), forget)
    reader = opening
    return opening
  }

  async function askOnce<Row extends QueryResultRow>(text: string, values: unknown[]): Promise<Row[]> {
    const session = questions()
    try {
      return (await (await session).query<Row>({ name: nameOf(text), text, values })).rows
    } catch (error) {
      if (lost(error)) {
        if (reader === session) reader = undefined
        session.then(client => client.end()).catch(() => undefined)
      }
      throw error
    }
  }

  /** Asks the shared catalogue; asks again if the session turns out to be lost. */
  async function ask<Row extends QueryResultRow>(text: string, values: unknown[] = []): Promise<Row[]> {
    const kept = reader !== undefined
    try {
      return await askOnce<Row>(text, values)
    } catch (error) {
      if (kept && lost(error)) return askOnce<Row>(text, values)
      throw error
    }
  }

  /**
   * Has statements carried out in a database, one after the other, each whole or not at all. What the limited role may
   * not do, because the tenant's own superuser made what it is about, the superuser does.
   */
  function tell(database: string, statements: string[], role: Role = 'os_admin'): Promise<void> {
    return within(role, database, async client => {
      for (const statement of statements) {
        await client.query(statement).catch(async (error: unknown) => {
          if (role === 'os_maint' || sqlState(error) !== INSUFFICIENT_PRIVILEGE) throw error
          await within('os_maint', database, superuser => superuser.query(statement))
        })
      }
    })
  }

  return { ask, tell, within, close }
}
