import type { ConfirmChannel } from 'amqplib'
import type { Clock } from '../../kit/clock.ts'
import { NoSuchTopic } from './queue.ts'
import { amqpCode, type Link } from './rabbitmq-link.ts'

/** The queues of a server: made so that what they were told to keep is there after the server was killed. */
export interface Queues {
  /** Makes a topic's queue, and the one for what is put aside. */
  topic(topic: string): Promise<void>
  /** The queue in which messages for the topic wait for so long. Throws NoSuchTopic. */
  delay(topic: string, delayMs: number): Promise<string>
  /** This queue does not answer: the delay it is for gets another one. */
  retire(name: string): void
}

export interface QueuesOptions {
  link: Link
  clock: Clock
  patienceMs: number
  settleMs: number
}

/** Deliveries of one message before the server puts it aside: of a message that ends whoever takes it. */
const DELIVERY_LIMIT = 10
/** A queue for one delay ends this long after its last message has left. */
const DELAY_KEPT_MS = 600_000
const DELAY_DECLARED_MS = 60_000
/** Delays are rounded up to these, times a power of ten: never early, at most a third late, and few queues. */
const STEPS = [1, 1.25, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10]

const DELAY = /^(.*\.delay\.\d+)(?:\.(\d+))?$/

/** What operators find aside: messages that were delivered too often. */
export const deadLetters = (topic: string) => `${topic}.dlq`
/** Where machines send what is for the topic. */
export const exchangeOf = (topic: string) => `to.${topic}`

export function queuesOf({ link, clock, patienceMs, settleMs }: QueuesOptions): Queues {
  const delays = new Map<string, { until: number; name: Promise<string> }>()
  /** Queues for a delay that were there for long enough. */
  const settled = new Set<string>()
  /** How many queues for a delay did not answer. */
  const retired = new Map<string, number>()

  const exists = (name: string): Promise<boolean> =>
    link.apart(channel =>
      channel.checkQueue(name).then(
        () => true,
        error => {
          if (amqpCode(error) === 404) return false
          throw error
        },
      ),
    )

  /**
   * A server writes down a second late which log a new quorum queue has. Killed before, it comes back with a queue that is
   * empty and never answers (rabbitmq-server issue 15725): until then nothing may be promised of it. A connection that is
   * lost meanwhile fails this, as its channel does.
   */
  async function make(channel: ConfirmChannel, name: string, options: object): Promise<void> {
    await channel.assertQueue(name, { durable: true, arguments: options })
    await clock.sleep(settleMs)
    await channel.checkQueue(name)
  }

  /** The queue for what is put aside is made last: a topic without one was not promised to anybody. */
  async function topicMade(topic: string): Promise<void> {
    const done = await exists(deadLetters(topic))
    const there = await exists(topic)
    if (done && there) return
    if (there) {
      // Another process may be at it just now.
      await clock.sleep(2 * settleMs)
      if (await exists(deadLetters(topic))) return
      await link.apart(channel => channel.deleteQueue(topic))
    }
    await link.apart(async channel => {
      await make(channel, topic, topicArguments(topic))
      await channel.assertQueue(deadLetters(topic), { durable: true })
    })
  }

  async function delayMade(topic: string, first: string, ms: number): Promise<string> {
    const options = delayArguments(topic, ms)
    const count = retired.get(first) ?? 0
    const name = count === 0 ? first : `${first}.${count}`
    if (!(await exists(topic))) throw new NoSuchTopic(topic)
    if (settled.has(name) && (await exists(name))) {
      await link.apart(channel => channel.assertQueue(name, { durable: true, arguments: options }))
      return name
    }
    // One that is there may be another process's, made just now.
    await link
      .apart(channel => make(channel, name, options))
      .catch(error => {
        retire(name)
        throw error
      })
    settled.add(name)
    return name
  }

  function retire(name: string): void {
    const [, first, count = '0'] = DELAY.exec(name) ?? []
    if (first === undefined) return
    retired.set(first, Math.max(retired.get(first) ?? 0, Number(count) + 1))
    delays.delete(first)
  }

  return {
    topic: topic => link.persist(patienceMs, () => topicMade(topic)),
    async delay(topic, delayMs) {
      const ms = rounded(delayMs)
      const first = `${topic}.delay.${ms}`
      const known = delays.get(first)
      if (known && known.until > clock.now()) return known.name
      const name = link.persist(patienceMs, () => delayMade(topic, first, ms))
      delays.set(first, { until: clock.now() + DELAY_DECLARED_MS, name })
      return name.catch(error => {
        delays.delete(first)
        throw error
      })
    },
    retire,
  }
}

/** The delay rounded up to one that there is a queue for. */
export function rounded(ms: number): number {
  const unit = 10 ** Math.floor(Math.log10(Math.max(ms, 10)))
  return Math.ceil((STEPS.find(step => step * unit >= ms) ?? 10) * unit)
}

// The server itself makes sure that what it moves to another queue has arrived there.
const SAFELY = { 'x-queue-type': 'quorum', 'x-dead-letter-strategy': 'at-least-once', 'x-overflow': 'reject-publish' }

const topicArguments = (topic: string) => ({
  ...SAFELY,
  'x-delivery-limit': DELIVERY_LIMIT,
  'x-dead-letter-exchange': '',
  'x-dead-letter-routing-key': deadLetters(topic),
})

const delayArguments = (topic: string, ms: number) => ({
  ...SAFELY,
  'x-message-ttl': ms,
  'x-expires': ms + DELAY_KEPT_MS,
  'x-dead-letter-exchange': '',
  'x-dead-letter-routing-key': topic,
})
