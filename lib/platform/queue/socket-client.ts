import type { Clock, Log } from '../../kit/clock.ts'
import { NoSuchTopic, NotAdmitted, type Queue, type ReceiveOptions } from './queue.ts'
import { Connection, dial, Lost } from './socket-connection.ts'
import { framed, type Reply, type Request, unwired } from './socket-server.ts'

export interface SocketQueueOptions {
  /** The server's unix socket; a function is asked at each connection. */
  path: string | (() => string)
  /** A token that the server admits; asked for at each connection, and when the grant of the last one has expired. */
  token: () => Promise<string>
  clock: Clock
  log: Log
}

/** How long anything but a receive may take, over as many connections as needed. */
const DELIVERY_MS = 10_000
/** How much later than its wait a receive may end when connecting or answering takes time. */
const GRACE_MS = 1_000
const FIRST_PAUSE_MS = 50
const LONGEST_PAUSE_MS = 2_000
const LONGEST_WAIT_MS = 2 ** 31 - 1

/**
 * The queue behind a `serveQueue`, as far as the token's grant goes: else NotAdmitted. It connects at the first call
 * and after each loss; a receive that finds no connection ends with no messages, everything else throws after 10 s.
 */
export function socketQueue(options: SocketQueueOptions): Queue {
  const { clock } = options
  const link = new Link(options)

  async function deliver(request: Request & { topic: string }, ms = DELIVERY_MS): Promise<void> {
    check(await link.ask(() => request, ms), request.topic)
  }

  return {
    receives: 2,
    declare: topic => deliver({ op: 'declare', topic }),
    remove: topic => deliver({ op: 'remove', topic }),
    async send(topic, messages) {
      const until = clock.now() + DELIVERY_MS
      for (const part of framed(messages)) await deliver({ op: 'send', topic, messages: part }, until - clock.now())
    },
    async receive(topic, { max, waitMs, signal }: ReceiveOptions) {
      const until = clock.now() + Math.min(waitMs, LONGEST_WAIT_MS - GRACE_MS)
      const left = () => Math.max(until - clock.now(), 0)
      const request = (): Request => ({ op: 'receive', topic, max, waitMs: left() })
      try {
        const { messages = [] } = check(await link.ask(request, left() + GRACE_MS, signal), topic)
        return messages.map(unwired)
      } catch (error) {
        if (error instanceof Stopped) return []
        throw error
      }
    },
    ack: (topic, receipts) => deliver({ op: 'ack', topic, receipts }),
    extend: (topic, receipt, ms) => deliver({ op: 'extend', topic, receipt, ms }),
    release: (topic, receipts, delayMs = 0) => deliver({ op: 'release', topic, receipts, delayMs }),
    close: async () => link.close(),
  }
}

function check(reply: Reply, topic: string): Reply {
  if (!reply.error) return reply
  const { name, message } = reply.error
  if (name === 'NoSuchTopic') throw new NoSuchTopic(topic)
  if (name === 'NotAdmitted') throw new NotAdmitted(message)
  throw name === 'RangeError' ? new RangeError(message) : new Error(message)
}

/** The caller's wait is over. */
class Stopped extends Error {}

/** Made once, for its stack costs more than the rest of a call. */
const ENDED = new Stopped('the wait was ended')

/** The one connection, made anew as needed. */
class Link {
  readonly #options: SocketQueueOptions
  readonly #closed = new AbortController()
  readonly #stops = new Set<AbortController>()
  #current: Connection | undefined
  #connecting: Promise<Connection> | undefined
  /** Connections since the last answer. */
  #tries = 0

  constructor(options: SocketQueueOptions) {
    this.#options = options
  }

  /** Asks until there is an answer; throws Stopped after `ms`, when aborted and on close. */
  async ask(request: () => Request, ms: number, signal?: AbortSignal): Promise<Reply> {
    if (this.#closed.signal.aborted) throw new Error('the queue is closed')
    const stop = new AbortController()
    const end = () => stop.abort(ENDED)
    if (signal?.aborted) end()
    this.#stops.add(stop)
    signal?.addEventListener('abort', end)
    const { clock } = this.#options
    void clock.sleep(ms, stop.signal).then(() => stop.abort(new Stopped('the queue did not answer in time')))
    try {
      return await this.#persist(request, stop.signal)
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

  async #persist(request: () => Request, stop: AbortSignal): Promise<Reply> {
    for (let renewed = false; ; ) {
      const connection = await unless(stop, this.#connected())
      try {
        const reply = await connection.ask(request(), stop)
        this.#tries = 0
        if (!reply.error?.expired || renewed) return reply
        renewed = true
        await unless(stop, this.#renewed(connection))
      } catch (error) {
        if (!(error instanceof Lost)) throw error
      }
    }
  }

  #connected(): Promise<Connection> {
    if (!this.#connecting && this.#current && !this.#current.lost) return Promise.resolve(this.#current)
    this.#connecting ??= this.#connect().finally(() => {
      this.#connecting = undefined
    })
    return this.#connecting
  }

  async #connect(): Promise<Connection> {
    const { clock, log } = this.#options
    const { signal } = this.#closed
    for (; !signal.aborted; this.#tries++) {
      if (this.#tries > 0)
        await clock.sleep(Math.min(FIRST_PAUSE_MS * 2 ** (this.#tries - 1), LONGEST_PAUSE_MS), signal)
      try {
        return await this.#open()
      } catch (error) {
        if (error instanceof NotAdmitted) throw error
        log.warn({ error: String(error), tries: this.#tries }, 'the queue is out of reach')
      }
    }
    throw new Stopped('the queue is closed')
  }

  async #open(): Promise<Connection> {
    const { path, clock } = this.#options
    const connection = new Connection(await dial(typeof path === 'string' ? path : path()), clock)
    if (this.#closed.signal.aborted) connection.close()
    this.#current = connection
    return await this.#authenticated(connection)
  }

  /** Concurrent requests whose grant expired share one new token. */
  #renewed(connection: Connection): Promise<Connection> {
    connection.renewal ??= this.#authenticated(connection).finally(() => {
      connection.renewal = undefined
    })
    return connection.renewal
  }

  /** Throws NotAdmitted or Lost, and closes the connection then. */
  async #authenticated(connection: Connection): Promise<Connection> {
    try {
      const { error } = await connection.ask({ op: 'auth', token: await this.#options.token() })
      if (error?.name === 'NotAdmitted') throw new NotAdmitted(error.message)
      if (error) throw new Error(error.message)
      return connection
    } catch (error) {
      connection.close()
      throw error instanceof NotAdmitted ? error : new Lost(String(error))
    }
  }
}

/** The promise, unless `stop` is aborted before: then its reason is thrown. */
function unless<T>(stop: AbortSignal, promise: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    if (stop.aborted) reject(stop.reason)
    stop.addEventListener('abort', () => reject(stop.reason), { once: true })
    promise.then(resolve, reject)
  })
}
