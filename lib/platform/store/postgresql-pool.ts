import pg from 'pg'
import type { Clock, Log } from '../../kit/clock.ts'
import { reason } from '../../kit/errors.ts'

/** The server was not reached, or did not answer, for as long as the caller could wait. What was asked may have been done. */
export class StoreAway extends Error {
  override name = 'StoreAway'
}

/** Sessions with one server, through its restarts. */
export interface Sessions {
  /** Runs `use` with a session of its own; again with another, if the server goes away meanwhile or asks for it. */
  during<T>(use: (client: pg.PoolClient, attempt: number) => Promise<T>): Promise<T>
  close(): Promise<void>
}

export interface SessionsOptions {
  /** `postgres://user:password@host:port/database?sslmode=verify-full&sslrootcert=…`. */
  url: string
  /** The most connections of this process. */
  connections: number
  /** How long a caller waits for a server that is away, in milliseconds. */
  patienceMs: number
  clock: Clock
  log: Log
}

const BACK_OFF_MS = { first: 20, most: 1_000 }
/** A client that stops in the middle of a transaction must not hold up the others; nor a statement that hangs. */
const IDLE_IN_TRANSACTION_MS = 10_000
const LOCK_MS = 10_000
const ANSWER_MS = 15_000
const CONNECT_MS = 5_000

/** Serialization failure, deadlock, lock not available, too many connections, idle in transaction: done again from the start. */
const AGAIN = new Set(['40001', '40P01', '55P03', '53300', '25P03'])
/** Of the server's shutting down, crashing and starting up; a read-only one is a standby about to be promoted. */
const GONE = new Set(['57P01', '57P02', '57P03', '57P05', '25006'])
const SYSTEM = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
])
/** What the driver says without a code. */
const TOLD =
  /^Connection terminated|^Client has encountered a connection error|^Query read timeout|^timeout exce|^Client was closed|not queryable/

/** Whether an error says that the same thing, asked again, may succeed. */
export function passes(error: unknown): boolean {
  if (typeof error !== 'object' || error === null) return false
  const code = 'code' in error ? String(error.code) : ''
  if (AGAIN.has(code) || GONE.has(code) || SYSTEM.has(code) || code.startsWith('08')) return true
  return 'message' in error && TOLD.test(String(error.message))
}

export function sessions({ url, connections, patienceMs, clock, log }: SessionsOptions): Sessions {
  const pool = new pg.Pool({
    connectionString: url,
    max: connections,
    application_name: 'coffer',
    keepAlive: true,
    connectionTimeoutMillis: CONNECT_MS,
    query_timeout: ANSWER_MS,
    lock_timeout: LOCK_MS,
    idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_MS,
  })
  // A session that ends while nobody uses it is none any more; without a listener it would end this process.
  pool.on('error', error => log.warn({ error: error.message }, 'a session with the store ended'))

  async function once<T>(use: (client: pg.PoolClient) => Promise<T>): Promise<T> {
    const client = await pool.connect()
    let broken: unknown
    const breaks = (error: Error) => {
      broken = error
    }
    client.on('error', breaks)
    try {
      return await use(client)
    } catch (error) {
      if (passes(error)) broken = error
      throw error
    } finally {
      client.off('error', breaks)
      client.release(broken !== undefined)
    }
  }

  return {
    async during(use) {
      const end = clock.now() + patienceMs
      for (let attempt = 1, wait = BACK_OFF_MS.first; ; attempt++, wait = Math.min(BACK_OFF_MS.most, wait * 2)) {
        try {
          return await once(client => use(client, attempt))
        } catch (error) {
          if (!passes(error)) throw error
          if (clock.now() + wait > end) throw new StoreAway(`the store is away: ${reason(error)}`)
          if (attempt === 3) log.warn({ error: reason(error) }, 'the store is away; trying again')
        }
        await clock.sleep(wait)
      }
    },
    close: () => pool.end(),
  }
}
