import type { Clock, Random } from '../../kit/clock.ts'
import { type Message, NoSuchTopic, type Outgoing, type Queue, type ReceiveOptions } from './queue.ts'

/** A Queue in the memory of one process: a crash loses its messages. */
export interface EmbeddedQueue extends Queue {
  /** How many messages wait and how many are received but not acked (delayed ones are neither); no topic: undefined. */
  depth(topic: string): { ready: number; inFlight: number } | undefined
  /** The declared topics. */
  topics(): string[]
}

const VISIBILITY_MS = 30_000
const MAX_BODY_BYTES = 256 * 1024
const MAX_RECEIVE = 10
const TOPIC = /^[A-Za-z0-9_-]{1,80}$/
/** Timers of the platform overflow after 24 days: longer sleeps are had in parts. */
const MAX_SLEEP_MS = 3_600_000

/**
 * Makes a queue without topics. Every call with a topic that is not declared throws NoSuchTopic; a topic's name, a
 * `max` or a body out of bounds throws RangeError; any call after `close` throws Error.
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
    async receive(name, wanted) {
      if (!(wanted.max >= 1 && wanted.max <= MAX_RECEIVE)) throw new RangeError(`max is 1 to ${MAX_RECEIVE}`)
      return topicOf(name).receive(wanted)
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
    topics: () => [...topics.keys()],
  }
}

function checkBody(body: string): void {
  // A UTF-16 unit has at most three bytes, so most bodies need no counting.
  if (body.length * 3 > MAX_BODY_BYTES && Buffer.byteLength(body) > MAX_BODY_BYTES)
    throw new RangeError(`a message's body is at most ${MAX_BODY_BYTES} bytes`)
}

interface Entry {
  id: string
  body: string
  group: string | undefined
  attempt: number
  /** Of the delivery under way. */
  receipt: string
  /** When it becomes ready, while it is in the schedule. */
  at: number
  /** Where it stands in the schedule's heap; -1 = it does not. */
  slot: number
  /** The one behind it in its group, while it is ready. */
  next?: Entry | undefined
}

interface Waiter {
  max: number
  end(result: Message[] | Error): void
}

class Topic {
  readonly #clock: Clock
  readonly #ready = new Rotation()
  /** Delayed and received messages: all that come back by time. */
  readonly #hidden = new Schedule()
  readonly #inFlight = new Map<string, Entry>()
  readonly #waiting = new Set<Waiter>()
  #alarm: { at: number; off: AbortController } | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  send(messages: Outgoing[], newId: () => string): void {
    for (const { body, group, delayMs = 0 } of messages)
      this.#offer({ id: newId(), body, group, attempt: 0, receipt: '', at: 0, slot: -1 }, delayMs)
    this.#serve()
  }

  receive({ max, waitMs, signal }: ReceiveOptions): Message[] | Promise<Message[]> {
    if (signal?.aborted) return []
    this.#wake() // the clock may have passed the alarm before the alarm could ring
    if (this.#ready.size > 0 || !(waitMs > 0)) return this.#take(max)
    return this.#wait(max, waitMs, signal)
  }

  ack(receipts: string[]): void {
    for (const receipt of receipts) {
      const entry = this.#inFlight.get(receipt)
      if (entry) this.#hidden.remove(entry)
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
      if (entry) this.#offer(entry, delayMs)
    }
    this.#serve()
  }

  depth(): { ready: number; inFlight: number } {
    this.#wake()
    return { ready: this.#ready.size, inFlight: this.#inFlight.size }
  }

  /** Ends every wait and the alarm. */
  end(result: Message[] | Error): void {
    this.#alarm?.off.abort()
    for (const waiter of this.#waiting) waiter.end(result)
  }

  #offer(entry: Entry, delayMs: number): void {
    this.#hidden.remove(entry)
    if (delayMs > 0) this.#hide(entry, delayMs)
    else this.#ready.add(entry)
  }

  #hide(entry: Entry, ms: number): void {
    this.#hidden.set(entry, this.#clock.now() + ms)
    this.#arm()
  }

  /** Hands ready messages to those who wait. */
  #serve(): void {
    for (const waiter of this.#waiting) {
      if (this.#ready.size === 0) return
      waiter.end(this.#take(waiter.max))
    }
  }

  #take(max: number): Message[] {
    const taken: Message[] = []
    while (taken.length < max) {
      const entry = this.#ready.take()
      if (!entry) break
      entry.attempt++
      entry.receipt = `${entry.id}.${entry.attempt}`
      this.#inFlight.set(entry.receipt, entry)
      this.#hide(entry, VISIBILITY_MS)
      const { id, body, receipt, attempt, group } = entry
      taken.push(group === undefined ? { id, body, receipt, attempt } : { id, body, receipt, attempt, group })
    }
    return taken
  }

  #wait(max: number, waitMs: number, signal: AbortSignal | undefined): Promise<Message[]> {
    const over = new AbortController()
    return new Promise((resolve, reject) => {
      const stop = () => waiter.end([])
      const waiter: Waiter = {
        max,
        end: result => {
          this.#waiting.delete(waiter)
          signal?.removeEventListener('abort', stop)
          over.abort('over') // without a reason it would make an Error with its stack
          if (result instanceof Error) reject(result)
          else resolve(result)
        },
      }
      this.#waiting.add(waiter)
      signal?.addEventListener('abort', stop)
      void this.#clock.sleep(Math.min(waitMs, 2 ** 31 - 1), over.signal).then(stop)
    })
  }

  /** Makes ready what has become due. */
  #wake(): void {
    const now = this.#clock.now()
    for (let entry = this.#hidden.first(); entry && entry.at <= now; entry = this.#hidden.first()) {
      this.#inFlight.delete(entry.receipt)
      this.#offer(entry, 0)
    }
    this.#serve()
  }

  /** One alarm for the earliest; it may ring for one that has been acked meanwhile, then it is only set anew. */
  #arm(): void {
    const first = this.#hidden.first()
    if (!first || (this.#alarm && this.#alarm.at <= first.at)) return
    this.#alarm?.off.abort()
    const alarm = { at: first.at, off: new AbortController() }
    this.#alarm = alarm
    const ms = Math.min(Math.max(first.at - this.#clock.now(), 0), MAX_SLEEP_MS)
    void this.#clock.sleep(ms, alarm.off.signal).then(() => {
      if (alarm.off.signal.aborted) return
      this.#alarm = undefined
      this.#wake()
      this.#arm()
    })
  }
}

/** Ready messages: the groups take turns, one message each. */
class Rotation {
  /** A chain of entries by group, in the order of their turns; none is empty. */
  readonly #groups = new Map<string | undefined, { first: Entry; last: Entry }>()
  size = 0

  add(entry: Entry): void {
    const group = this.#groups.get(entry.group)
    if (group) group.last.next = entry
    if (group) group.last = entry
    else this.#groups.set(entry.group, { first: entry, last: entry })
    this.size++
  }

  take(): Entry | undefined {
    const turn = this.#groups.entries().next().value
    if (!turn) return undefined
    const [name, group] = turn
    const entry = group.first
    this.#groups.delete(name)
    if (entry.next) this.#groups.set(name, { first: entry.next, last: group.last }) // behind the others
    entry.next = undefined
    this.size--
    return entry
  }
}

/** A binary heap by `at`. Entries know their slot, so that an acked one leaves at once and not by its time. */
class Schedule {
  readonly #heap: Entry[] = []

  first(): Entry | undefined {
    return this.#heap[0]
  }

  /** Puts an entry in, or moves it. */
  set(entry: Entry, at: number): void {
    entry.at = at
    this.#settle(entry, entry.slot < 0 ? this.#heap.length : entry.slot)
  }

  remove(entry: Entry): void {
    if (entry.slot < 0) return
    const last = this.#heap.pop()
    if (last && last !== entry) this.#settle(last, entry.slot)
    entry.slot = -1
  }

  /** Puts the entry where it belongs, upwards or downwards from a free slot. */
  #settle(entry: Entry, free: number): void {
    let slot = free
    const at = (other: number) => this.#heap[other]?.at ?? Infinity
    const up = () => (slot - 1) >> 1
    const down = () => (at(slot * 2 + 2) < at(slot * 2 + 1) ? slot * 2 + 2 : slot * 2 + 1)
    while (slot > 0 && at(up()) > entry.at) slot = this.#put(this.#heap[up()]!, slot)
    while (at(down()) < entry.at) slot = this.#put(this.#heap[down()]!, slot)
    this.#put(entry, slot)
  }

  /** Gives back the slot that became free. */
  #put(entry: Entry, slot: number): number {
    const before = entry.slot
    this.#heap[slot] = entry
    entry.slot = slot
    return before
  }
}
