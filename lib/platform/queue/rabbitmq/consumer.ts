import type { Channel, Message as Raw } from 'amqplib'
import { backOffMs } from '../../../kit/async/back-off.ts'
import type { Clock, Random } from '../../../kit/clock.ts'
import { AccessDenied, type Message, NoSuchTopic, type ReceiveOptions } from '../../../ports/queue.ts'
import { amqpCode, closeReason, type RabbitmqConnection } from './connection.ts'

/** A delivery that a caller has received and not yet acked, released or extended. */
interface Delivery {
  channel: Channel
  raw: Raw
  attempt: number
  /** Stops the timer that ends its visibility. */
  timer: AbortController
}

interface Waiter {
  max: number
  end(result: Message[] | Error): void
}

interface ConsumerOptions {
  connection: RabbitmqConnection
  clock: Clock
  random: Random
  prefetch: number
  visibilityMs: number
}

const BACK_OFF = { firstMs: 50, maxMs: 2_000 }
/** How long a receive that does not wait tries to reach the server. */
const NO_WAIT_RETRY_MS = 5_000

/** How often a message was delivered before it was published again with a delay. */
export const ATTEMPTS_HEADER = 'coffer-tried'
/** The group that the sender gave. It is only passed on: the server has no fairness between groups. */
export const GROUP_HEADER = 'coffer-group'

/**
 * One topic's deliveries to this process. It starts consuming at the first receive, and again after each reconnection.
 */
export class Consumer {
  readonly #topic: string
  readonly #options: ConsumerOptions
  #channel: Channel | undefined
  #opening: Promise<Channel> | undefined
  #isReconnecting = false
  /** Delivered to this process and not yet received by a caller. */
  #buffer: { channel: Channel; raw: Raw }[] = []
  readonly #waiters = new Set<Waiter>()
  /** Received and not yet acked, by receipt. */
  readonly #inFlight = new Map<string, Delivery>()

  constructor(topic: string, options: ConsumerOptions) {
    this.#topic = topic
    this.#options = options
  }

  async receive(request: ReceiveOptions): Promise<Message[]> {
    if (request.signal?.aborted) return []
    if (this.#buffer.length > 0) return this.#takeBuffered(request.max)
    if (request.waitMs > 0) return this.#wait(request)
    return this.#options.connection.retryFor(NO_WAIT_RETRY_MS, () => this.#get(request.max))
  }

  /** Removes the delivery with this receipt from those in flight, for the caller to settle or requeue. */
  take(receipt: string): Delivery | undefined {
    const delivery = this.#inFlight.get(receipt)
    this.#inFlight.delete(receipt)
    delivery?.timer.abort('taken')
    return delivery
  }

  /** Hides a delivery for `ms` from now; after that it is requeued. */
  hide(receipt: string, ms: number): void {
    const delivery = this.#inFlight.get(receipt)
    if (!delivery) return
    delivery.timer.abort('extended')
    const timer = new AbortController()
    delivery.timer = timer
    void this.#options.clock.sleep(ms, timer.signal).then(() => {
      if (!timer.signal.aborted && this.#inFlight.delete(receipt)) requeue(delivery)
    })
  }

  /** Ends every wait. */
  end(result: Message[] | Error): void {
    for (const waiter of this.#waiters) waiter.end(result)
  }

  /** Ends the waits and stops the timers. The server requeues what is in flight when the connection is closed. */
  close(): void {
    this.end([])
    for (const { timer } of this.#inFlight.values()) timer.abort('closed')
  }

  async #get(max: number): Promise<Message[]> {
    try {
      const channel = await this.#open()
      while (this.#buffer.length < max) {
        const raw = await channel.get(this.#topic)
        if (!raw) break
        this.#buffer.push({ channel, raw })
      }
      return this.#takeBuffered(max)
    } catch (error) {
      throw amqpCode(error) === 404 ? new NoSuchTopic(this.#topic) : error
    }
  }

  #wait({ max, waitMs, signal }: ReceiveOptions): Promise<Message[]> {
    const timer = new AbortController()
    return new Promise((resolve, reject) => {
      const stop = () => waiter.end([])
      const waiter: Waiter = {
        max,
        end: result => {
          this.#waiters.delete(waiter)
          signal?.removeEventListener('abort', stop)
          timer.abort('ended')
          if (result instanceof Error) reject(result)
          else resolve(result)
        },
      }
      this.#waiters.add(waiter)
      signal?.addEventListener('abort', stop)
      void this.#options.clock.sleep(Math.min(waitMs, 2 ** 31 - 1), timer.signal).then(stop)
      void this.#keepConsuming()
    })
  }

  /** Reconnects until there is an open channel, for as long as a receive waits. */
  async #keepConsuming(): Promise<void> {
    if (this.#isReconnecting) return
    this.#isReconnecting = true
    try {
      for (let failures = 1; this.#waiters.size > 0 && !this.#channel; failures++) {
        await this.#open().catch(error => this.#endIfRefused(error))
        if (this.#channel || this.#waiters.size === 0) return
        await this.#options.clock.sleep(backOffMs(failures, BACK_OFF))
      }
    } finally {
      this.#isReconnecting = false
    }
  }

  #endIfRefused(error: unknown): void {
    if (amqpCode(error) === 404) this.end(new NoSuchTopic(this.#topic))
    const refused = closeReason(error)
    if (refused instanceof AccessDenied) this.end(refused)
  }

  #open(): Promise<Channel> {
    if (this.#channel) return Promise.resolve(this.#channel)
    this.#opening ??= this.#consume().finally(() => {
      this.#opening = undefined
    })
    return this.#opening
  }

  async #consume(): Promise<Channel> {
    const { connection, prefetch } = this.#options
    const channel = await (await connection.connection()).createChannel()
    let isOpen = true
    channel.on('error', () => {})
    channel.on('close', () => {
      isOpen = false
      this.#forget(channel)
    })
    await channel.prefetch(prefetch)
    await channel.consume(this.#topic, raw => {
      if (raw) this.#addToBuffer(channel, raw)
      // The server cancelled it: the topic was removed, or its leader is unavailable. The next try shows which.
      else void channel.close().catch(() => {})
    })
    if (!isOpen) throw new Error('the channel was closed')
    this.#channel = channel
    return channel
  }

  /** Drops what was delivered on a closed channel: the server delivers it again. */
  #forget(channel: Channel): void {
    if (this.#channel === channel) this.#channel = undefined
    this.#buffer = this.#buffer.filter(delivery => delivery.channel !== channel)
    for (const [receipt, delivery] of this.#inFlight) if (delivery.channel === channel) this.take(receipt)
    void this.#keepConsuming()
  }

  #addToBuffer(channel: Channel, raw: Raw): void {
    this.#buffer.push({ channel, raw })
    // Only after all deliveries of the same network read, so that one receive gets them together.
    if (this.#buffer.length === 1) void Promise.resolve().then(() => this.#serve())
  }

  #serve(): void {
    for (const waiter of this.#waiters) {
      if (this.#buffer.length === 0) return
      waiter.end(this.#takeBuffered(waiter.max))
    }
  }

  #takeBuffered(max: number): Message[] {
    return this.#buffer.splice(0, max).map(({ channel, raw }) => {
      const receipt = this.#options.random.uuid()
      const { message, attempt } = toMessage(raw, receipt)
      this.#inFlight.set(receipt, { channel, raw, attempt, timer: new AbortController() })
      this.hide(receipt, this.#options.visibilityMs)
      return message
    })
  }
}

function toMessage(raw: Raw, receipt: string): { message: Message; attempt: number } {
  const headers: Record<string, unknown> = raw.properties.headers ?? {}
  const attempt = Number(headers['x-delivery-count'] ?? 0) + Number(headers[ATTEMPTS_HEADER] ?? 0) + 1
  const group = headers[GROUP_HEADER]
  const id = String(raw.properties.messageId ?? receipt)
  const message = { id, body: raw.content.toString(), receipt, attempt }
  return { message: typeof group === 'string' ? { ...message, group } : message, attempt }
}

/** Gives a delivery back to the server, or dead-letters it. */
export function requeue({ channel, raw }: Delivery, requeue = true): void {
  quietly(() => channel.nack(raw, false, requeue))
}

/** Acks a delivery. */
export const settle = ({ channel, raw }: Delivery): void => quietly(() => channel.ack(raw))

function quietly(work: () => void): void {
  try {
    work()
  } catch {
    // Its channel is closed: the server delivers the message again.
  }
}
