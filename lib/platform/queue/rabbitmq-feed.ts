import type { Channel, Message as Raw } from 'amqplib'
import type { Clock, Random } from '../../kit/clock.ts'
import { type Message, NoSuchTopic, NotAdmitted, type ReceiveOptions } from './queue.ts'
import { amqpCode, type Link, refusal } from './rabbitmq-link.ts'

/** A delivery that somebody received and has not answered for. */
export interface Held {
  channel: Channel
  raw: Raw
  attempt: number
  /** Ends its visibility's timer. */
  off: AbortController
}

interface Waiter {
  max: number
  end(result: Message[] | Error): void
}

export interface FeedOptions {
  link: Link
  clock: Clock
  random: Random
  prefetch: number
  visibilityMs: number
}

const BACK_OFF_MS = { first: 50, most: 2_000 }
/** How long a receive that does not wait tries to reach a server that is away. */
const AT_ONCE_MS = 5_000

/** How often a message was handed out before it was sent anew with a delay. */
export const TRIED = 'coffer-tried'
/** The sender's word, which nobody goes by: the server takes no turns between groups. */
export const GROUP = 'coffer-group'

/** What one topic brings to this process: a consumer, started at the first receive and kept through reconnections. */
export class Feed {
  readonly #topic: string
  readonly #options: FeedOptions
  #channel: Channel | undefined
  #opening: Promise<Channel> | undefined
  #attending = false
  /** Delivered to this process, received by nobody yet. */
  #buffer: { channel: Channel; raw: Raw }[] = []
  readonly #waiters = new Set<Waiter>()
  readonly #held = new Map<string, Held>()

  constructor(topic: string, options: FeedOptions) {
    this.#topic = topic
    this.#options = options
  }

  async receive(wanted: ReceiveOptions): Promise<Message[]> {
    if (wanted.signal?.aborted) return []
    if (this.#buffer.length > 0) return this.#take(wanted.max)
    if (wanted.waitMs > 0) return this.#wait(wanted)
    return this.#options.link.persist(AT_ONCE_MS, () => this.#get(wanted.max))
  }

  /** The delivery with this receipt, which is then no longer held. */
  let(receipt: string): Held | undefined {
    const held = this.#held.get(receipt)
    this.#held.delete(receipt)
    held?.off.abort('over')
    return held
  }

  /** Hides a delivery for `ms` from now; then it goes back. */
  hide(receipt: string, ms: number): void {
    const held = this.#held.get(receipt)
    if (!held) return
    held.off.abort('over')
    const off = new AbortController()
    held.off = off
    void this.#options.clock.sleep(ms, off.signal).then(() => {
      if (!off.signal.aborted && this.#held.delete(receipt)) giveBack(held)
    })
  }

  /** Ends every wait. */
  end(result: Message[] | Error): void {
    for (const waiter of this.#waiters) waiter.end(result)
  }

  /** Stops the timers; what is held goes back when the connection is closed. */
  close(): void {
    this.end([])
    for (const { off } of this.#held.values()) off.abort('over')
  }

  async #get(max: number): Promise<Message[]> {
    try {
      const channel = await this.#open()
      while (this.#buffer.length < max) {
        const raw = await channel.get(this.#topic)
        if (!raw) break
        this.#buffer.push({ channel, raw })
      }
      return this.#take(max)
    } catch (error) {
      throw amqpCode(error) === 404 ? new NoSuchTopic(this.#topic) : error
    }
  }

  #wait({ max, waitMs, signal }: ReceiveOptions): Promise<Message[]> {
    const over = new AbortController()
    return new Promise((resolve, reject) => {
      const stop = () => waiter.end([])
      const waiter: Waiter = {
        max,
        end: result => {
          this.#waiters.delete(waiter)
          signal?.removeEventListener('abort', stop)
          over.abort('over')
          if (result instanceof Error) reject(result)
          else resolve(result)
        },
      }
      this.#waiters.add(waiter)
      signal?.addEventListener('abort', stop)
      void this.#options.clock.sleep(Math.min(waitMs, 2 ** 31 - 1), over.signal).then(stop)
      void this.#attend()
    })
  }

  /** Sees to it that there is a consumer for as long as somebody waits. */
  async #attend(): Promise<void> {
    if (this.#attending) return
    this.#attending = true
    try {
      for (let wait = BACK_OFF_MS.first; this.#waiters.size > 0 && !this.#channel; ) {
        await this.#open().catch(error => this.#failed(error))
        if (this.#channel || this.#waiters.size === 0) continue
        await this.#options.clock.sleep(wait)
        wait = Math.min(BACK_OFF_MS.most, wait * 2)
      }
    } finally {
      this.#attending = false
    }
  }

  #failed(error: unknown): void {
    if (amqpCode(error) === 404) this.end(new NoSuchTopic(this.#topic))
    const refused = refusal(error)
    if (refused instanceof NotAdmitted) this.end(refused)
  }

  #open(): Promise<Channel> {
    if (this.#channel) return Promise.resolve(this.#channel)
    this.#opening ??= this.#consume().finally(() => {
      this.#opening = undefined
    })
    return this.#opening
  }

  async #consume(): Promise<Channel> {
    const { link, prefetch } = this.#options
    const channel = await (await link.connection()).createChannel()
    let open = true
    channel.on('error', () => {})
    channel.on('close', () => {
      open = false
      this.#lost(channel)
    })
    await channel.prefetch(prefetch)
    await channel.consume(this.#topic, raw => {
      if (raw) this.#arrived(channel, raw)
      // The server ended it: the topic was removed, or its leader is away. A new try tells which.
      else void channel.close().catch(() => {})
    })
    if (!open) throw new Error('the channel was closed')
    this.#channel = channel
    return channel
  }

  /** All that was delivered on it goes to somebody else. */
  #lost(channel: Channel): void {
    if (this.#channel === channel) this.#channel = undefined
    this.#buffer = this.#buffer.filter(delivery => delivery.channel !== channel)
    for (const [receipt, held] of this.#held) if (held.channel === channel) this.let(receipt)
    void this.#attend()
  }

  #arrived(channel: Channel, raw: Raw): void {
    this.#buffer.push({ channel, raw })
    // After all that came in the same piece.
    if (this.#buffer.length === 1) void Promise.resolve().then(() => this.#serve())
  }

  #serve(): void {
    for (const waiter of this.#waiters) {
      if (this.#buffer.length === 0) return
      waiter.end(this.#take(waiter.max))
    }
  }

  #take(max: number): Message[] {
    return this.#buffer.splice(0, max).map(({ channel, raw }) => {
      const receipt = this.#options.random.uuid()
      const { message, attempt } = read(raw, receipt)
      this.#held.set(receipt, { channel, raw, attempt, off: new AbortController() })
      this.hide(receipt, this.#options.visibilityMs)
      return message
    })
  }
}

function read(raw: Raw, receipt: string): { message: Message; attempt: number } {
  const headers: Record<string, unknown> = raw.properties.headers ?? {}
  const attempt = Number(headers['x-delivery-count'] ?? 0) + Number(headers[TRIED] ?? 0) + 1
  const group = headers[GROUP]
  const id = String(raw.properties.messageId ?? receipt)
  const message = { id, body: raw.content.toString(), receipt, attempt }
  return { message: typeof group === 'string' ? { ...message, group } : message, attempt }
}

/** A channel that is closed has given back by itself. */
export function giveBack({ channel, raw }: Held, requeue = true): void {
  quietly(() => channel.nack(raw, false, requeue))
}

export const settle = ({ channel, raw }: Held): void => quietly(() => channel.ack(raw))

function quietly(work: () => void): void {
  try {
    work()
  } catch {
    // Its channel is closed; the message is delivered again.
  }
}
