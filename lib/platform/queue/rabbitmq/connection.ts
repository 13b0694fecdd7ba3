import { Duplex } from 'node:stream'
import { type ChannelModel, type ConfirmChannel, connect, credentials } from 'amqplib'
import type { QueueAccessOf } from '../../../contracts/queue-access.ts'
import { backOffMs } from '../../../kit/async/back-off.ts'
import type { Clock, Log } from '../../../kit/clock.ts'
import { messageOf } from '../../../kit/errors.ts'
import { AccessDenied, NoSuchTopic } from '../../../ports/queue.ts'

/** The server could not be reached, or did not confirm, for as long as the caller could wait. */
export class QueueUnavailable extends Error {
  override name = 'QueueUnavailable'
}

type MachineAccess = QueueAccessOf<'rabbitmq'>

/** The server's address and the credentials, as they are when a connection is opened. The url may contain a user. */
export type RabbitmqEndpoint = Pick<MachineAccess, 'url' | 'ca'> & Partial<Pick<MachineAccess, 'username' | 'password'>>

const CONNECT_MS = 5_000
/** The server closes a connection only after the calls on its channels are done, which may take for ever. */
const CLOSE_MS = 3_000
const HEARTBEAT_S = 10
const BACK_OFF = { firstMs: 50, maxMs: 2_000 }
/** Whether the server's words mean that it knows the user, and lets it in nowhere. */
const isRefusal = (message: string) =>
  /ACCESS[-_]REFUSED/.test(message) || (message.includes('access to vhost ') && message.includes(' refused'))

/** The code of an AMQP error (404 = no such queue, 403 = not permitted …). */
export const amqpCode = (error: unknown): unknown =>
  typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined

/** One connection to the server, opened when needed and again after it was lost. */
export class RabbitmqConnection {
  readonly #access: () => Promise<RabbitmqEndpoint>
  readonly #clock: Clock
  readonly #log: Log
  #connecting: Promise<ChannelModel> | undefined
  /** Channels for confirmed publishing, by their use. */
  readonly #publishing = new Map<string, Promise<ConfirmChannel>>()
  #closed = false
  /** Why the server closed a channel; calls under way on it only learn that it is closed. */
  readonly #failures = new WeakMap<object, unknown>()

  constructor(options: { access: () => Promise<RabbitmqEndpoint>; clock: Clock; log: Log }) {
    this.#access = options.access
    this.#clock = options.clock
    this.#log = options.log
  }

  get closed(): boolean {
    return this.#closed
  }

  /** The connection, opened in one try if there is none. Throws AccessDenied if the server refuses the credentials. */
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
      throw isRefusal(messageOf(error))
        ? new AccessDenied(`the queue refused the credentials: ${messageOf(error)}`)
        : error
    })
    connection.on('error', error => this.#log.warn({ error: messageOf(error) }, 'the connection to the queue failed'))
    connection.on('close', () => {
      this.#connecting = undefined
      this.#publishing.clear()
    })
    if (this.#closed) await closeQuietly(connection)
    return connection
  }

  /**
   * The channel for confirmed publishing, one for each use: a call that blocks on the server blocks its whole channel.
   */
  publisher(use: string, prepare: (channel: ConfirmChannel) => void): Promise<ConfirmChannel> {
    const existing = this.#publishing.get(use)
    if (existing) return existing
    const created = this.#openPublisher(prepare)
    this.#publishing.set(use, created)
    const forget = () => this.#forget(use, created)
    created.then(channel => channel.on('close', forget), forget)
    return created
  }

  async #openPublisher(prepare: (channel: ConfirmChannel) => void): Promise<ConfirmChannel> {
    const channel = await (await this.connection()).createConfirmChannel()
    channel.on('error', error => this.#failures.set(channel, error))
    prepare(channel)
    return channel
  }

  #forget(use: string, channel: Promise<ConfirmChannel>): void {
    if (this.#publishing.get(use) === channel) this.#publishing.delete(use)
  }

  /** Closes a publisher that does not answer or is no longer needed; the use gets another channel next time. */
  async abandon(use: string, channel: ConfirmChannel): Promise<void> {
    const current = this.#publishing.get(use)
    if (current && (await current.catch(() => undefined)) === channel) this.#forget(use, current)
    void closeQuietly(channel)
  }

  /** Why a channel was closed, if the server said so. */
  failureOf(channel: ConfirmChannel): unknown {
    return this.#failures.get(channel)
  }

  /** Runs calls on a channel of their own, since a call that fails closes its channel. */
  async onOwnChannel<T>(work: (channel: ConfirmChannel) => Promise<T>): Promise<T> {
    const channel = await (await this.connection()).createConfirmChannel()
    channel.on('error', error => this.#log.debug({ error: messageOf(error) }, 'a channel failed'))
    try {
      return await work(channel)
    } finally {
      await closeQuietly(channel)
    }
  }

  /**
   * Retries for at most `ms`, but nothing that the server refused. Throws QueueUnavailable, or AccessDenied for a 403.
   */
  async retryFor<T>(ms: number, work: () => Promise<T>): Promise<T> {
    const end = this.#clock.now() + ms
    for (let failures = 1; ; failures++) {
      const wait = backOffMs(failures, BACK_OFF)
      try {
        return await work()
      } catch (error) {
        if (this.#closed || isFinal(error)) throw closeReason(error)
        if (this.#clock.now() + wait > end) throw new QueueUnavailable(`the queue is unavailable: ${messageOf(error)}`)
      }
      await this.#clock.sleep(wait)
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    const connection = await this.#connecting?.catch(() => undefined)
    if (!connection) return
    const timer = new AbortController()
    void this.#clock.sleep(CLOSE_MS, timer.signal).then(() => timer.signal.aborted || destroy(connection))
    await closeQuietly(connection)
    timer.abort('closed')
  }
}

/** Whether a retry cannot help: the server refused (4xx), or the error is final by itself. */
function isFinal(error: unknown): boolean {
  if (error instanceof AccessDenied || error instanceof QueueUnavailable || error instanceof NoSuchTopic) return true
  const code = amqpCode(error)
  return typeof code === 'number' && code < 500 && code >= 400
}

/**
 * Closes a channel or a connection. The library's own `close` never settles if the connection is lost in the meantime.
 */
function closeQuietly(open: ConfirmChannel | ChannelModel): Promise<void> {
  return new Promise(resolve => {
    open.once('close', () => resolve())
    Promise.resolve()
      .then(() => open.close())
      .then(resolve, () => resolve())
  })
}

/** Breaks a connection off without waiting for the server. */
function destroy({ connection }: ChannelModel): void {
  if ('stream' in connection && connection.stream instanceof Duplex)
    connection.stream.destroy(new Error('not closed in time'))
}

/** The error in the port's terms: AccessDenied for a 403 of the server. */
export const closeReason = (error: unknown): unknown =>
  amqpCode(error) === 403 ? new AccessDenied(messageOf(error)) : error
