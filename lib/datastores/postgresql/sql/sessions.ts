import { createHash } from 'node:crypto'
import { type Client, type ClientConfig, DatabaseError, type QueryResultRow } from 'pg'
import { codeOf, messageOf } from '../../../kit/errors.ts'
import { withShortPath } from '../../../kit/os/short-path.ts'
import { SaslClient } from '../../../kit/postgresql/sasl-client.ts'
import type { DriverContext } from '../../driver.ts'
import { clusterPaths, readMajor } from '../cluster/cluster.ts'
import { readText } from '../cluster/files.ts'
import { readDraft, useDraft } from '../cluster/passwords.ts'
import { grantSettings, type Role, sessionOptions } from './session-settings.ts'

const INSUFFICIENT_PRIVILEGE = '42501'
const TOO_MANY_CONNECTIONS = '53300'
const WRONG_PASSWORD = '28P01'

/** A query has a caller who waits at most 25 s. */
const QUERY_LIMIT_MS = 15_000

/** The SQLSTATE of a server's error, or undefined if it is another kind of error. */
export const sqlState = (error: unknown) => (error instanceof DatabaseError ? error.code : undefined)

/** Whether a server's error is the last thing that it says on a session. */
const endsSession = (error: DatabaseError) => /^(57P0|08)/.test(error.code ?? '')

/** Whether a session cannot be used after this error: it is no answer of the server, or its last one. */
const isSessionLost = (error: unknown) => !(error instanceof DatabaseError) || endsSession(error)

/** How pg says that a connection has ended, or had ended before the query. */
const CONNECTION_ENDED = /^(Connection terminated|Client has encountered a connection error|Client was closed)/

/** Whether the server was not there, or went away during the call: the same call may succeed once it is back. */
export function isConnectionLost(error: unknown): boolean {
  if (error instanceof DatabaseError) return endsSession(error)
  // The socket of a server that has stopped is not there, and that of a busy one may be full.
  return /^(ENOENT|EAGAIN|ECONN|EPIPE)/.test(codeOf(error) ?? '') || CONNECTION_ENDED.test(messageOf(error))
}

// A named statement is planned once for the session, which is most of what a listing costs.
const statementName = (text: string) => createHash('md5').update(text).digest('hex')

/** Sessions of the agent with its server. */
export class PostgresqlSessions {
  readonly #context: DriverContext
  /** The one session that stays open, so that a query costs one round trip. */
  #reader: Promise<Client> | undefined

  constructor(context: DriverContext) {
    this.#context = context
  }

  /** Queries the shared catalogue; tries once more if the open session turns out to be lost. */
  async query<Row extends QueryResultRow>(text: string, values: unknown[] = []): Promise<Row[]> {
    const isReused = this.#reader !== undefined
    try {
      return await this.#queryOnce<Row>(text, values)
    } catch (error) {
      if (isReused && isSessionLost(error)) return this.#queryOnce<Row>(text, values)
      throw error
    }
  }

  /**
   * Executes statements in a database, one after the other, each in a transaction of its own. A statement that the
   * limited role may not execute, because the tenant's superuser made its subject, is executed by the agent's
   * superuser.
   */
  execute(database: string, statements: string[], role: Role = 'os_admin'): Promise<void> {
    return this.withClient(role, database, async client => {
      for (const statement of statements) {
        await client.query(statement).catch(async (error: unknown) => {
          if (role === 'os_maint' || sqlState(error) !== INSUFFICIENT_PRIVILEGE) throw error
          await this.withClient('os_maint', database, superuser => superuser.query(statement))
        })
      }
    })
  }

  /** Opens a session for `work` and ends it afterwards. */
  async withClient<T>(role: Role, database: string, work: (client: Client) => Promise<T>): Promise<T> {
    const client = await this.#connect(role, database)
    try {
      return await work(client)
    } finally {
      client.end().catch(() => undefined)
    }
  }

  async close(): Promise<void> {
    const reader = this.#reader
    this.#reader = undefined
    await reader?.then(client => client.end()).catch(() => undefined)
  }

  async #queryOnce<Row extends QueryResultRow>(text: string, values: unknown[]): Promise<Row[]> {
    const reader = this.#openReader()
    try {
      return (await (await reader).query<Row>({ name: statementName(text), text, values })).rows
    } catch (error) {
      if (isSessionLost(error)) {
        if (this.#reader === reader) this.#reader = undefined
        reader.then(client => client.end()).catch(() => undefined)
      }
      throw error
    }
  }

  #openReader(): Promise<Client> {
    if (this.#reader) return this.#reader
    const reader = this.#connect('os_admin', 'postgres', { query_timeout: QUERY_LIMIT_MS })
    const forget = () => {
      if (this.#reader === reader) this.#reader = undefined
    }
    reader.then(client => client.once('end', forget), forget)
    this.#reader = reader
    return reader
  }

  async #connect(role: Role, database: string, config: ClientConfig = {}): Promise<Client> {
    const major = await readMajor(this.#context.volume)
    const connect = () => this.#connectAs(role, database, { options: sessionOptions(role, major), ...config })
    try {
      return await connect()
    } catch (error) {
      if (role !== 'os_admin') throw error
      if (sqlState(error) === INSUFFICIENT_PRIVILEGE) {
        // An earlier version created the role, or the tenant's superuser revoked its rights.
        await this.withClient('os_maint', 'postgres', client => client.query(grantSettings(major)))
        return connect()
      }
      if (sqlState(error) !== TOO_MANY_CONNECTIONS) throw error
      // Tenants use all other connections; the last ones are for superusers, who then become the limited role at once.
      const options = `${sessionOptions('os_maint', major)} -c role=os_admin`
      return this.#connectAs('os_maint', database, { options, ...config })
    }
  }

  async #connectAs(role: Role, database: string, config: ClientConfig): Promise<Client> {
    const { volume } = this.#context
    const password = await readText(clusterPaths(volume).password(role))
    if (password === undefined) throw new Error(`there is no password of ${role} in the volume`)
    try {
      return await this.#logIn(role, password, database, config)
    } catch (error) {
      const draft = sqlState(error) === WRONG_PASSWORD ? await readDraft(volume, role) : undefined
      if (draft === undefined) throw error
      // The agent ended just after the role got its new password.
      const client = await this.#logIn(role, draft, database, config)
      await useDraft(volume, role)
      return client
    }
  }

  async #logIn(role: Role, password: string, database: string, config: ClientConfig): Promise<Client> {
    const { volume, port } = this.#context
    const { data } = clusterPaths(volume)
    const login = { port, user: role, password, database, application_name: 'coffer', connectionTimeoutMillis: 5_000 }
    // Not by its address: while the server is down anybody may take that.
    return withShortPath(data, async host => {
      const client = new SaslClient({ host, ...login, ...config }, { mustProve: true })
      // Whoever uses a broken idle session next gets the error.
      client.on('error', () => undefined)
      await client.connect()
      return client
    })
  }
}
