import pg from 'pg'
import { backOffMs } from '../../../kit/async/back-off.ts'
import type { Clock, Log } from '../../../kit/clock.ts'
import { messageOf } from '../../../kit/errors.ts'
import { SaslClient } from '../../../kit/postgresql/sasl-client.ts'

/**
 * The server could not be reached, or did not answer, for as long as the caller could wait. The work may have been
 * done.
 */
class StoreUnavailable extends Error {
  override name = 'StoreUnavailable'
}

/** Connections to one server, which survive its restarts. */
export interface ConnectionPool {
  /**
   * Runs `use` with a connection of its own, and again with another after a transient error. Throws StoreUnavailable.
   */
  withClient<T>(use: (client: pg.PoolClient, attempt: number) => Promise<T>): Promise<T>
  close(): Promise<void>
}

interface ConnectionPoolOptions {
  /** `postgres://user:password@host:port/database?sslmode=verify-full&sslrootcert=…`. */
  url: string
  /** The most connections of this process. */
  connections: number
  /** How long a call waits for a server that cannot be reached, in milliseconds. */
  patienceMs: number
  clock: Clock
  log: Log
}

const BACK_OFF = { firstMs: 20, maxMs: 1_000 }
/** A warning is logged once, after this many failed tries. */
const WARN_AT_ATTEMPT = 3
/**
 * Neither a client that stops in the middle of a transaction nor a statement that hangs may block the others for ever.
 */
const IDLE_IN_TRANSACTION_MS = 10_000
const LOCK_MS = 10_000
const ANSWER_MS = 15_000
const CONNECT_MS = 5_000

/** Serialization failure, deadlock, lock not available, too many connections, idle in transaction. */
const RETRYABLE = new Set(['40001', '40P01', '55P03', '53300', '25P03'])
/** The server is shutting down, has crashed or is starting; a read-only one is a standby about to be promoted. */
const UNAVAILABLE = new Set(['57P01', '57P02', '57P03', '57P05', '25006'])
/** Of the operating system. */
const NETWORK = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
])
/** Messages of the driver's errors that have no code. */
const DRIVER_MESSAGES =
  /^(?:Connection terminated|Client (?:has encountered a connection error|was closed)|Query read timeout|timeout exce)/

/** Whether the same call may succeed when it is retried. */
function isTransient(error: unknown): boolean {
  if (typeof error !== 'object' || error === null) return false
  const code = 'code' in error ? String(error.code) : ''
  if (RETRYABLE.has(code) || UNAVAILABLE.has(code) || NETWORK.has(code) || code.startsWith('08')) return true
  if (!('message' in error)) return false
  const message = String(error.message)
  return DRIVER_MESSAGES.test(message) || message.includes('not queryable')
}

export function connectionPool({ url, connections, patienceMs, clock, log }: ConnectionPoolOptions): ConnectionPool {
  const pool = new pg.Pool({
    connectionString: url,
    // Whoever stands in for the server must not get the password.
    Client: SaslClient,
    max: connections,
    application_name: 'coffer',
    keepAlive: true,
    connectionTimeoutMillis: CONNECT_MS,
    query_timeout: ANSWER_MS,
    lock_timeout: LOCK_MS,
    idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_MS,
  })
  // An idle connection that breaks leaves the pool by itself; without a listener its error would end this process.
  pool.on('error', error => log.warn({ error: error.message }, 'an idle connection to the store broke'))

  async function runOnce<T>(use: (client: pg.PoolClient) => Promise<T>): Promise<T> {
    const client = await pool.connect()
    let isBroken = false
    const markBroken = () => {
      isBroken = true
    }
    client.on('error', markBroken)
    try {
      return await use(client)
    } catch (error) {
      if (isTransient(error)) isBroken = true
      throw error
    } finally {
      client.off('error', markBroken)
      client.release(isBroken)
    }
  }

  return {
    async withClient(use) {
      const end = clock.now() + patienceMs
      for (let attempt = 1; ; attempt++) {
        const wait = backOffMs(attempt, BACK_OFF)
        try {
          return await runOnce(client => use(client, attempt))
        } catch (error) {
          if (!isTransient(error)) throw error
          if (clock.now() + wait > end) throw new StoreUnavailable(`the store is unavailable: ${messageOf(error)}`)
          if (attempt === WARN_AT_ATTEMPT) log.warn({ error: messageOf(error) }, 'the store is unavailable; retrying')
        }
        await clock.sleep(wait)
      }
    },
    close: () => pool.end(),
  }
}
