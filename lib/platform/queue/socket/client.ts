import { backOffMs } from '../../../kit/async/back-off.ts'
import type { Clock, Log } from '../../../kit/clock.ts'
import { AccessDenied, NoSuchTopic, type Queue, type ReceiveOptions } from '../../../ports/queue.ts'
import { Connection, ConnectionLost, connectSocket } from './connection.ts'
import { decodeMessage, encodeFrames, type Reply, type Request } from './protocol.ts'

export interface SocketQueueOptions {
  /** The server's unix socket; a function is called for each new connection. */
  path: string | (() => string)
  /** Gives a token for each new connection, and a new one when the last one's grant has expired. */
  token: () => Promise<string>
  clock: Clock
  log: Log
}

/** How long a call other than a receive may take, over as many connections as needed. */
const CALL_MS = 10_000
/** How much longer than its wait a receive may take, for connecting and for the reply. */
const GRACE_MS = 1_000
const BACK_OFF = { firstMs: 50, maxMs: 2_000 }
const MAX_TIMER_MS = 2 ** 31 - 1

/**
 * The queue behind a `serveQueue`, within the token's grant: anything else throws AccessDenied. It connects at the
 * first call and after each loss. A receive that cannot connect ends with no messages; every other call throws after 10
 * s.
 */
export function socketQueue(options: SocketQueueOptions): Queue {
  const { clock } = options
  const connection = new ReconnectingClient(options)

  async function call(request: Request & { topic: string }, ms = CALL_MS): Promise<void> {
    checkReply(await connection.request(() => request, ms), request.topic)
  }

  return {
    receives: 2,
    declare: topic => call({ op: 'declare', topic }),
    remove: topic => call({ op: 'remove', topic }),
    async send(topic, messages) {
      const deadline = clock.now() + CALL_MS
      for (const part of encodeFrames(messages))
        await call({ op: 'send', topic, messages: part }, deadline - clock.now())
    },
    async receive(topic, { max, waitMs, signal }: ReceiveOptions) {
      const deadline = clock.now() + Math.min(waitMs, MAX_TIMER_MS - GRACE_MS)
      const remainingMs = () => Math.max(deadline - clock.now(), 0)
      const request = (): Request => ({ op: 'receive', topic, max, waitMs: remainingMs() })
      try {
        const { messages = [] } = checkReply(await connection.request(request, remainingMs() + GRACE_MS, signal), topic)
        return messages.map(decodeMessage)
      } catch (error) {
        if (error instanceof Stopped) return []
        throw error
      }
    },
    ack: (topic, receipts) => call({ op: 'ack', topic, receipts }),
    extend: (topic, receipt, ms) => call({ op: 'extend', topic, receipt, ms }),
    release: (topic, receipts, delayMs = 0) => call({ op: 'release', topic, receipts, delayMs }),
    close: async () => connection.close(),
  }
}

function checkReply(reply: Reply, topic: string): Reply {
  if (!reply.error) return reply
  const { name, message } = reply.error
  if (name === 'NoSuchTopic') throw new NoSuchTopic(topic)
  if (name === 'NotAdmitted') throw new AccessDenied(message)
  throw name === 'RangeError' ? new RangeError(message) : new Error(message)
}

/** The caller no longer waits. */
class Stopped extends Error {}

/** Created once, because its stack trace costs more than the rest of a call. */
const ENDED = new Stopped('the wait was ended')

/** One connection, opened again as needed. */
class ReconnectingClient {
  readonly #options: SocketQueueOptions
  readonly #closed = new AbortController()
  readonly #stops = new Set<AbortController>()
  #current: Connection | undefined
  #connecting: Promise<Connection> | undefined
  /** Connections since the last reply. */
  #tries = 0

  constructor(options: SocketQueueOptions) {
    this.#options = options
  }

  /** Sends the request until there is a reply. Throws Stopped after `ms`, when aborted and on close. */
  async request(request: () => Request, ms: number, signal?: AbortSignal): Promise<Reply> {
    if (this.#closed.signal.aborted) throw new Error('the queue is closed')
    const stop = new AbortController()
    const end = () => stop.abort(ENDED)
    if (signal?.aborted) end()
    this.#stops.add(stop)
    signal?.addEventListener('abort', end)
    const { clock } = this.#options
    void clock.sleep(ms, stop.signal).then(() => stop.abort(new Stopped('the queue did not answer in time')))
    try {
      return await this.#retry(request, stop.signal)
    } finally {
      end()
      signal?.removeEventListener('abort', end)
      this.#stops.delete(stop)
    }
  }

  close(): void {
    this.#closed.abort()
    for (const stop of this.#stops) stop.abort(new Stopped('the queue is closed'))
    this.#current?.close()
  }

  async #retry(request: () => Request, stop: AbortSignal): Promise<Reply> {
    for (let isRenewed = false; ; ) {
      const connection = await unlessStopped(stop, this.#connect())
      try {
        const reply = await connection.request(request(), stop)
        this.#tries = 0
        if (!reply.error?.expired || isRenewed) return reply
        isRenewed = true
        await unlessStopped(stop, this.#renewToken(connection))
      } catch (error) {
        if (!(error instanceof ConnectionLost)) throw error
      }
    }
  }

  #connect(): Promise<Connection> {
    if (!this.#connecting && this.#current && !this.#current.isLost) return Promise.resolve(this.#current)
    this.#connecting ??= this.#openWithRetries().finally(() => {
      this.#connecting = undefined
    })
    return this.#connecting
  }

  async #openWithRetries(): Promise<Connection> {
    const { clock, log } = this.#options
    const { signal } = this.#closed
    for (; !signal.aborted; this.#tries++) {
      if (this.#tries > 0) await clock.sleep(backOffMs(this.#tries, BACK_OFF), signal)
      try {
        return await this.#open()
      } catch (error) {
        if (error instanceof AccessDenied) throw error
        log.warn({ error: String(error), tries: this.#tries }, 'cannot connect to the queue')
      }
    }
    throw new Stopped('the queue is closed')
  }

  async #open(): Promise<Connection> {
    const { path, clock } = this.#options
    const connection = new Connection(await connectSocket(typeof path === 'string' ? path : path()), clock)
    if (this.#closed.signal.aborted) connection.close()
    this.#current = connection
    return await this.#authenticate(connection)
  }

  /** Concurrent requests whose grant has expired share one new token. */
  #renewToken(connection: Connection): Promise<Connection> {
    connection.renewal ??= this.#authenticate(connection).finally(() => {
      connection.renewal = undefined
    })
    return connection.renewal
  }

  /** Shows the token. If that fails, closes the connection and throws AccessDenied or ConnectionLost. */
  async #authenticate(connection: Connection): Promise<Connection> {
    try {
      const { error } = await connection.request({ op: 'auth', token: await this.#options.token() })
      if (error?.name === 'NotAdmitted') throw new AccessDenied(error.message)
      if (error) throw new Error(error.message)
      return connection
    } catch (error) {
      connection.close()
      throw error instanceof AccessDenied ? error : new ConnectionLost(String(error))
    }
  }
}

/** The promise's result; if `stop` is aborted before, throws its reason. */
function unlessStopped<T>(stop: AbortSignal, promise: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    if (stop.aborted) reject(stop.reason)
    stop.addEventListener('abort', () => reject(stop.reason), { once: true })
    promise.then(resolve, reject)
  })
}
