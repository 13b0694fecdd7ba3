import { Duplex } from 'node:stream'
import { type ChannelModel, type ConfirmChannel, connect, credentials } from 'amqplib'
import type { Clock, Log } from '../../kit/clock.ts'
import { reason } from '../../kit/errors.ts'
import { NoSuchTopic, NotAdmitted } from './queue.ts'

/** The server was not reached, or did not confirm, for as long as the caller could wait. */
export class QueueAway extends Error {
  override name = 'QueueAway'
}

/** Where the server is and who comes; asked for anew at each connection. */
export interface RabbitmqAccess {
  /** `amqps://host:port/vhost`, perhaps with user and password in it. */
  url: string
  username?: string | undefined
  password?: string | undefined
  /** Certificates (PEM) that the server's must come from, where the system's are not meant. */
  ca?: string | undefined
}

const CONNECT_MS = 5_000
/** A server whose channels wait for something does not close a connection before they are done. */
const CLOSE_MS = 3_000
const HEARTBEAT_S = 10
const BACK_OFF_MS = { first: 50, most: 2_000 }
const REFUSED = /ACCESS[-_]REFUSED|access to vhost .* refused/

/** The code of an AMQP error (404 = no such queue, 403 = not permitted …). */
export const amqpCode = (error: unknown): unknown =>
  typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined

/** One connection to the server, made when needed and made again when lost. */
export class Link {
  readonly #access: () => Promise<RabbitmqAccess>
  readonly #clock: Clock
  readonly #log: Log
  #connecting: Promise<ChannelModel> | undefined
  /** By what they are for. */
  readonly #publishing = new Map<string, Promise<ConfirmChannel>>()
  #closed = false
  /** Why the server closed a channel; what was under way on it only hears that it is closed. */
  readonly #failures = new WeakMap<object, unknown>()

  constructor(options: { access: () => Promise<RabbitmqAccess>; clock: Clock; log: Log }) {
    this.#access = options.access
    this.#clock = options.clock
    this.#log = options.log
  }

  get closed(): boolean {
    return this.#closed
  }

  /** The connection; one try to make it. Throws NotAdmitted if the server refuses who comes. */
  connection(): Promise<ChannelModel> {
    if (this.#closed) return Promise.reject(new Error('the queue is closed'))
    this.#connecting ??= this.#connect().catch(error => {
      this.#connecting = undefined
      throw error
    })
    return this.#connecting
  }

  async #connect(): Promise<ChannelModel> {
    const { url, username, password, ca } = await this.#access()
    const address = new URL(url)
    address.searchParams.set('heartbeat', address.searchParams.get('heartbeat') ?? String(HEARTBEAT_S))
    const options = {
      timeout: CONNECT_MS,
      clientProperties: { connection_name: 'coffer' },
      ...(username !== undefined && { credentials: credentials.plain(username, password ?? '') }),
      ...(ca !== undefined && { ca: [ca] }),
    }
    const connection = await connect(address.href, options).catch(error => {
      throw REFUSED.test(reason(error)) ? new NotAdmitted(`the queue does not admit: ${reason(error)}`) : error
    })
    connection.on('error', error => this.#log.warn({ error: reason(error) }, 'the connection to the queue failed'))
    connection.on('close', () => {
      this.#connecting = undefined
      this.#publishing.clear()
    })
    if (this.#closed) await ended(connection)
    return connection
  }

  /** The channel for what is to be confirmed; one for each use, as a server that waits for one thing carries out no other on it. */
  publisher(use: string, prepare: (channel: ConfirmChannel) => void): Promise<ConfirmChannel> {
    const known = this.#publishing.get(use)
    if (known) return known
    const made = this.#publisher(prepare)
    this.#publishing.set(use, made)
    const forget = () => this.#forget(use, made)
    made.then(channel => channel.on('close', forget), forget)
    return made
  }

  async #publisher(prepare: (channel: ConfirmChannel) => void): Promise<ConfirmChannel> {
    const channel = await (await this.connection()).createConfirmChannel()
    channel.on('error', error => this.#failures.set(channel, error))
    prepare(channel)
    return channel
  }

  #forget(use: string, channel: Promise<ConfirmChannel>): void {
    if (this.#publishing.get(use) === channel) this.#publishing.delete(use)
  }

  /** The next publisher for this use is another channel: this one does not answer, or has done its work. */
  async abandon(use: string, channel: ConfirmChannel): Promise<void> {
    const known = this.#publishing.get(use)
    if (known && (await known.catch(() => undefined)) === channel) this.#forget(use, known)
    void ended(channel)
  }

  /** Why a channel was closed, if the server said so. */
  failureOf(channel: ConfirmChannel): unknown {
    return this.#failures.get(channel)
  }

  /** Does one thing on a channel of its own: one that fails takes its channel with it. */
  async apart<T>(work: (channel: ConfirmChannel) => Promise<T>): Promise<T> {
    const channel = await (await this.connection()).createConfirmChannel()
    channel.on('error', error => this.#log.debug({ error: reason(error) }, 'a channel failed'))
    try {
      return await work(channel)
    } finally {
      await ended(channel)
    }
  }

  /** Tries until it is done, for `ms` at most; what the server says no to is not tried again. Throws QueueAway. */
  async persist<T>(ms: number, work: () => Promise<T>): Promise<T> {
    const end = this.#clock.now() + ms
    for (let wait = BACK_OFF_MS.first; ; wait = Math.min(BACK_OFF_MS.most, wait * 2)) {
      try {
        return await work()
      } catch (error) {
        const code = amqpCode(error)
        if (
          this.#closed ||
          error instanceof NotAdmitted ||
          error instanceof QueueAway ||
          error instanceof NoSuchTopic ||
          (typeof code === 'number' && code < 500 && code >= 400)
        )
          throw refusal(error)
        if (this.#clock.now() + wait > end) throw new QueueAway(`the queue is away: ${reason(error)}`)
      }
      await this.#clock.sleep(wait)
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    const connection = await this.#connecting?.catch(() => undefined)
    if (!connection) return
    const over = new AbortController()
    void this.#clock.sleep(CLOSE_MS, over.signal).then(() => over.signal.aborted || cut(connection))
    await ended(connection)
    over.abort('over')
  }
}

/** Closes a channel or a connection; the promise of its own `close` is never kept if the connection is lost meanwhile. */
function ended(open: ConfirmChannel | ChannelModel): Promise<void> {
  return new Promise(resolve => {
    open.once('close', () => resolve())
    Promise.resolve()
      .then(() => open.close())
      .then(resolve, () => resolve())
  })
}

/** Ends a connection without the server's consent. */
function cut({ connection }: ChannelModel): void {
  if ('stream' in connection && connection.stream instanceof Duplex)
    connection.stream.destroy(new Error('not closed in time'))
}

/** A 403 of the server as the port's error. */
export const refusal = (error: unknown): unknown => (amqpCode(error) === 403 ? new NotAdmitted(reason(error)) : error)
