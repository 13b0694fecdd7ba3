import type { Clock, Random } from '../../../kit/clock.ts'
import { type Message, NoSuchTopic, type Outgoing, type Queue, type ReceiveOptions } from '../../../ports/queue.ts'
import { type Held, HeldByGroup } from './held.ts'
import { type Entry, Rotation, Schedule } from './order.ts'

/** A Queue in the memory of one process: a crash loses its messages. */
export interface EmbeddedQueue extends Queue {
  /**
   * How many messages wait and how many are received but not acked (delayed ones are neither); undefined = no such
   * topic.
   */
  depth(topic: string): { ready: number; inFlight: number } | undefined
  /** What a topic holds of a group, until it is acked. */
  held(topic: string, group: string): Held
  /** The declared topics. */
  topics(): string[]
}

const VISIBILITY_MS = 30_000
const MAX_BODY_BYTES = 256 * 1024
const MAX_RECEIVE = 10
const TOPIC = /^[A-Za-z0-9_-]{1,80}$/
/** The runtime's timers overflow after 24 days, so longer sleeps are made of parts. */
const MAX_SLEEP_MS = 3_600_000

/**
 * Creates a queue without topics. A call with an undeclared topic throws NoSuchTopic; a topic's name, a `max` or a body
 * out of bounds throws RangeError; any call after `close` throws Error.
 */
export function embeddedQueue(options: { clock: Clock; random: Random }): EmbeddedQueue {
  const { clock, random } = options
  const topics = new Map<string, Topic>()
  let closed = false

  function topicOf(name: string): Topic {
    if (closed) throw new Error('the queue is closed')
    const topic = topics.get(name)
    if (!topic) throw new NoSuchTopic(name)
    return topic
  }

  return {
    async declare(name) {
      if (closed) throw new Error('the queue is closed')
      if (!TOPIC.test(name)) throw new RangeError(`not a topic: ${name.slice(0, 100)}`)
      if (!topics.has(name)) topics.set(name, new Topic(clock))
    },
    async remove(name) {
      const topic = topics.get(name)
      topics.delete(name)
      topic?.end(new NoSuchTopic(name))
    },
    async send(name, messages) {
      const topic = topicOf(name)
      for (const { body } of messages) checkBody(body)
      topic.send(messages, () => random.uuid())
    },
    async receive(name, request) {
      if (!(request.max >= 1 && request.max <= MAX_RECEIVE)) throw new RangeError(`max is 1 to ${MAX_RECEIVE}`)
      return topicOf(name).receive(request)
    },
    ack: async (name, receipts) => topicOf(name).ack(receipts),
    extend: async (name, receipt, ms) => topicOf(name).extend(receipt, ms),
    release: async (name, receipts, delayMs = 0) => topicOf(name).release(receipts, delayMs),
    async close() {
      closed = true
      for (const topic of topics.values()) topic.end([])
    },
    backlog: async name => topics.get(name)?.depth().ready ?? 0,
    depth: name => topics.get(name)?.depth(),
    held: (name, group) => topics.get(name)?.held(group) ?? { messages: 0, bytes: 0 },
    topics: () => [...topics.keys()],
  }
}

function checkBody(body: string): void {
  // A UTF-16 unit has at most three bytes, so most bodies need no counting.
  if (body.length * 3 > MAX_BODY_BYTES && Buffer.byteLength(body) > MAX_BODY_BYTES)
    throw new RangeError(`a message's body is at most ${MAX_BODY_BYTES} bytes`)
}

interface Waiter {
  max: number
  end(result: Message[] | Error): void
}

class Topic {
  readonly #clock: Clock
  readonly #ready = new Rotation()
  /** Delayed and received messages: all that become ready again by time. */
  readonly #hidden = new Schedule()
  readonly #inFlight = new Map<string, Entry>()
  readonly #held = new HeldByGroup()
  readonly #waiters = new Set<Waiter>()
  #alarm: { ringsAt: number; off: AbortController } | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  send(messages: Outgoing[], newId: () => string): void {
    for (const { body, group, delayMs = 0 } of messages) {
      const bytes = Buffer.byteLength(body)
      const entry: Entry = { id: newId(), body, group, bytes, attempt: 0, receipt: '', readyAt: 0, slot: -1 }
      this.#held.add(entry)
      this.#add(entry, delayMs)
    }
    this.#serve()
  }

  receive({ max, waitMs, signal }: ReceiveOptions): Message[] | Promise<Message[]> {
    if (signal?.aborted) return []
    this.#releaseDue() // the clock may have passed the alarm's time before the alarm fired
    if (this.#ready.size > 0 || !(waitMs > 0)) return this.#take(max)
    return this.#wait(max, waitMs, signal)
  }

  ack(receipts: string[]): void {
    for (const receipt of receipts) {
      const entry = this.#inFlight.get(receipt)
      if (!entry) continue
      this.#hidden.remove(entry)
      this.#held.remove(entry)
      this.#inFlight.delete(receipt)
    }
  }

  extend(receipt: string, ms: number): void {
    const entry = this.#inFlight.get(receipt)
    if (entry) this.#hide(entry, ms)
  }

  release(receipts: string[], delayMs: number): void {
    for (const receipt of receipts) {
      const entry = this.#inFlight.get(receipt)
      this.#inFlight.delete(receipt)
      if (entry) this.#add(entry, delayMs)
    }
    this.#serve()
  }

  depth(): { ready: number; inFlight: number } {
    this.#releaseDue()
    return { ready: this.#ready.size, inFlight: this.#inFlight.size }
  }

  held(group: string): Held {
    return this.#held.of(group)
  }

  /** Ends every wait and the alarm. */
  end(result: Message[] | Error): void {
    this.#alarm?.off.abort()
    for (const waiter of this.#waiters) waiter.end(result)
  }

  #add(entry: Entry, delayMs: number): void {
    this.#hidden.remove(entry)
    if (delayMs > 0) this.#hide(entry, delayMs)
    else this.#ready.add(entry)
  }

  #hide(entry: Entry, ms: number): void {
    this.#hidden.set(entry, this.#clock.now() + ms)
    this.#arm()
  }

  /** Hands ready messages to the waiting receivers. */
  #serve(): void {
    for (const waiter of this.#waiters) {
      if (this.#ready.size === 0) return
      waiter.end(this.#take(waiter.max))
    }
  }

  #take(max: number): Message[] {
    const messages: Message[] = []
    while (messages.length < max) {
      const entry = this.#ready.take()
      if (!entry) break
      entry.attempt++
      entry.receipt = `${entry.id}.${entry.attempt}`
      this.#inFlight.set(entry.receipt, entry)
      this.#hide(entry, VISIBILITY_MS)
      const { id, body, receipt, attempt, group } = entry
      messages.push(group === undefined ? { id, body, receipt, attempt } : { id, body, receipt, attempt, group })
    }
    return messages
  }

  #wait(max: number, waitMs: number, signal: AbortSignal | undefined): Promise<Message[]> {
    const timer = new AbortController()
    return new Promise((resolve, reject) => {
      const stop = () => waiter.end([])
      const waiter: Waiter = {
        max,
        end: result => {
          this.#waiters.delete(waiter)
          signal?.removeEventListener('abort', stop)
          timer.abort('ended') // without a reason it would create an Error with its stack
          if (result instanceof Error) reject(result)
          else resolve(result)
        },
      }
      this.#waiters.add(waiter)
      signal?.addEventListener('abort', stop)
      void this.#clock.sleep(Math.min(waitMs, 2 ** 31 - 1), timer.signal).then(stop)
    })
  }

  /** Makes messages ready whose time has come. */
  #releaseDue(): void {
    const now = this.#clock.now()
    for (let entry = this.#hidden.first(); entry && entry.readyAt <= now; entry = this.#hidden.first()) {
      this.#inFlight.delete(entry.receipt)
      this.#add(entry, 0)
    }
    this.#serve()
  }

  /**
   * One alarm for the earliest message. If that one is acked in the meantime, the alarm still fires, and is set again.
   */
  #arm(): void {
    const first = this.#hidden.first()
    if (!first || (this.#alarm && this.#alarm.ringsAt <= first.readyAt)) return
    this.#alarm?.off.abort()
    const alarm = { ringsAt: first.readyAt, off: new AbortController() }
    this.#alarm = alarm
    const ms = Math.min(Math.max(first.readyAt - this.#clock.now(), 0), MAX_SLEEP_MS)
    void this.#clock.sleep(ms, alarm.off.signal).then(() => {
      if (alarm.off.signal.aborted) return
      this.#alarm = undefined
      this.#releaseDue()
      this.#arm()
    })
  }
}
