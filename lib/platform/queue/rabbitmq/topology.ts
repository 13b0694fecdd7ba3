import type { ConfirmChannel } from 'amqplib'
import type { Clock } from '../../../kit/clock.ts'
import { NoSuchTopic } from '../../../ports/queue.ts'
import { amqpCode, type RabbitmqConnection } from './connection.ts'

interface TopologyOptions {
  connection: RabbitmqConnection
  clock: Clock
  /** How long a call waits for a server that cannot be reached, in milliseconds. */
  patienceMs: number
  /** How long the server needs to write a new queue to its disk, in milliseconds. */
  settleMs: number
}

/** Deliveries of one message before the server dead-letters it: such a message may crash every receiver. */
const DELIVERY_LIMIT = 10
/** The queue for a delay is deleted this long after its last message has left. */
const DELAY_KEPT_MS = 600_000
/** For how long a delay's queue is used without declaring it again. */
const DELAY_DECLARED_MS = 60_000
/** Delays are rounded up to one of these times a power of ten: never early, at most a third late, and few queues. */
const STEPS = [1, 1.25, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10]

const DELAY = /^(.*\.delay\.\d+)(?:\.(\d+))?$/

/** The queue in which operators find messages that were delivered too often. */
export const deadLetters = (topic: string) => `${topic}.dlq`
/** The exchange through which machines send to the topic. */
export const exchangeOf = (topic: string) => `to.${topic}`

/** The queues on the server, declared so that a server that is killed does not lose what it had confirmed. */
export class Topology {
  readonly #options: TopologyOptions
  readonly #delays = new Map<string, { until: number; name: Promise<string> }>()
  /** Queues for delays that the server has had time to write to its disk. */
  readonly #settled = new Set<string>()
  /** How many queues for a delay did not answer, by the name of the first. */
  readonly #retired = new Map<string, number>()

  constructor(options: TopologyOptions) {
    this.#options = options
  }

  /** Declares the topic's queue and its dead-letter queue. */
  declare(topic: string): Promise<void> {
    const { connection, patienceMs } = this.#options
    return connection.retryFor(patienceMs, () => this.#declareTopic(topic))
  }

  /** The queue in which messages for the topic wait for that long. Throws NoSuchTopic. */
  async delayQueue(topic: string, delayMs: number): Promise<string> {
    const { connection, clock, patienceMs } = this.#options
    const ms = roundDelay(delayMs)
    const first = `${topic}.delay.${ms}`
    const cached = this.#delays.get(first)
    if (cached && cached.until > clock.now()) return cached.name
    const name = connection.retryFor(patienceMs, () => this.#declareDelay(topic, first, ms))
    this.#delays.set(first, { until: clock.now() + DELAY_DECLARED_MS, name })
    return name.catch(error => {
      this.#delays.delete(first)
      throw error
    })
  }

  /** Stops using a delay's queue that does not answer: its delay gets another one. Ignores other queues. */
  retire(name: string): void {
    const [, first, count = '0'] = DELAY.exec(name) ?? []
    if (first === undefined) return
    this.#retired.set(first, Math.max(this.#retired.get(first) ?? 0, Number(count) + 1))
    this.#delays.delete(first)
  }

  #exists(name: string): Promise<boolean> {
    return this.#options.connection.onOwnChannel(channel =>
      channel.checkQueue(name).then(
        () => true,
        error => {
          if (amqpCode(error) === 404) return false
          throw error
        },
      ),
    )
  }

  /**
   * The server writes down up to a second late which log a new quorum queue has. If it is killed before, it comes back
   * with an empty queue that never answers (rabbitmq-server issue 15725), so nothing may be promised of the queue until
   * then. A connection that is lost in the meantime makes this fail, as its channel does.
   */
  async #declareSettled(channel: ConfirmChannel, name: string, options: object): Promise<void> {
    await channel.assertQueue(name, { durable: true, arguments: options })
    await this.#options.clock.sleep(this.#options.settleMs)
    await channel.checkQueue(name)
  }

  /** The dead-letter queue is declared last: a topic without one was never reported as declared. */
  async #declareTopic(topic: string): Promise<void> {
    const { connection, clock, settleMs } = this.#options
    const isComplete = await this.#exists(deadLetters(topic))
    const exists = await this.#exists(topic)
    if (isComplete && exists) return
    if (exists) {
      // Another process may be declaring it at this moment.
      await clock.sleep(2 * settleMs)
      if (await this.#exists(deadLetters(topic))) return
      await connection.onOwnChannel(channel => channel.deleteQueue(topic))
    }
    await connection.onOwnChannel(async channel => {
      await this.#declareSettled(channel, topic, topicArguments(topic))
      await channel.assertQueue(deadLetters(topic), { durable: true })
    })
  }

  async #declareDelay(topic: string, first: string, ms: number): Promise<string> {
    const { connection } = this.#options
    const options = delayArguments(topic, ms)
    const count = this.#retired.get(first) ?? 0
    const name = count === 0 ? first : `${first}.${count}`
    if (!(await this.#exists(topic))) throw new NoSuchTopic(topic)
    if (this.#settled.has(name) && (await this.#exists(name))) {
      await connection.onOwnChannel(channel => channel.assertQueue(name, { durable: true, arguments: options }))
      return name
    }
    // A queue that exists already may be one that another process declared a moment ago.
    await connection
      .onOwnChannel(channel => this.#declareSettled(channel, name, options))
      .catch(error => {
        this.retire(name)
        throw error
      })
    this.#settled.add(name)
    return name
  }
}

/** The delay rounded up to one that has a queue. */
export function roundDelay(ms: number): number {
  const unit = 10 ** Math.floor(Math.log10(Math.max(ms, 10)))
  return Math.ceil((STEPS.find(step => step * unit >= ms) ?? 10) * unit)
}

// With these the server acks a message only after the queue that it is moved to has confirmed it.
const LOSSLESS = { 'x-queue-type': 'quorum', 'x-dead-letter-strategy': 'at-least-once', 'x-overflow': 'reject-publish' }

const topicArguments = (topic: string) => ({
  ...LOSSLESS,
  'x-delivery-limit': DELIVERY_LIMIT,
  'x-dead-letter-exchange': '',
  'x-dead-letter-routing-key': deadLetters(topic),
})

const delayArguments = (topic: string, ms: number) => ({
  ...LOSSLESS,
  'x-message-ttl': ms,
  'x-expires': ms + DELAY_KEPT_MS,
  'x-dead-letter-exchange': '',
  'x-dead-letter-routing-key': topic,
})
