import type { ConfirmChannel, GetMessage } from 'amqplib'
import type { Clock } from '../../../kit/clock.ts'
import { NoSuchTopic } from '../../../ports/queue.ts'
import type { RabbitmqConnection } from './connection.ts'
import { exchangeOf, type Topology } from './topology.ts'

/** A message to publish. */
interface Publication {
  id: string
  delayMs: number
  content: Buffer
  headers: Record<string, unknown>
}

interface PublisherOptions {
  connection: RabbitmqConnection
  topology: Topology
  clock: Clock
  /** On a machine: publishes to the topic's exchange only, and ignores delays. */
  machine: boolean
  /** How long a call waits for a server that cannot be reached, in milliseconds. */
  patienceMs: number
}

interface Destination {
  exchange: string
  routingKey: string
}

/** A message that is not confirmed by then is sent once more. */
const CONFIRM_MS = 10_000
/** The channel for all queues that confirm in time. */
const COMMON_CHANNEL = ''

/** Publishes messages and waits until the server has them on its disk. */
export class Publisher {
  readonly #options: PublisherOptions
  /** Ids of messages that the server could not route. */
  readonly #returned = new Set<string>()
  /** Routing keys of queues that did not confirm in time: each has its own channel, so that it blocks no other. */
  readonly #slow = new Set<string>()

  constructor(options: PublisherOptions) {
    this.#options = options
  }

  /** Resolves when all messages are confirmed. Throws NoSuchTopic or QueueUnavailable. */
  async publish(topic: string, messages: Publication[]): Promise<void> {
    const { connection, patienceMs } = this.#options
    const unconfirmed = new Set(messages)
    await connection.retryFor(patienceMs, async () => {
      const results = await Promise.allSettled(
        [...unconfirmed].map(async message => {
          await this.#publishOne(topic, message)
          unconfirmed.delete(message)
        }),
      )
      const failure = results.find(({ status }) => status === 'rejected')
      if (failure?.status === 'rejected') throw failure.reason
    })
  }

  async #publishOne(topic: string, message: Publication): Promise<void> {
    const { connection, topology } = this.#options
    const destination = await this.#destination(topic, message.delayMs)
    const { routingKey } = destination
    const use = this.#slow.has(routingKey) ? routingKey : COMMON_CHANNEL
    const channel = await connection.publisher(use, opened => this.#collectReturned(opened))
    await this.#confirm(channel, destination, message, () => {
      this.#slow.add(routingKey)
      topology.retire(routingKey)
      void connection.abandon(use, channel)
    }).catch(error => {
      throw connection.failureOf(channel) ?? error
    })
    if (use !== COMMON_CHANNEL && this.#slow.delete(use)) void connection.abandon(use, channel)
    // The server returns an unroutable message before it confirms it.
    if (this.#returned.delete(message.id)) throw new NoSuchTopic(topic)
  }

  #collectReturned(channel: ConfirmChannel): void {
    channel.on('return', (message: GetMessage) => this.#returned.add(String(message.properties.messageId)))
  }

  #confirm(
    channel: ConfirmChannel,
    { exchange, routingKey }: Destination,
    { id, headers, content }: Publication,
    onTimeout: () => void,
  ): Promise<void> {
    const timer = new AbortController()
    return new Promise<void>((resolve, reject) => {
      const properties = { persistent: true, mandatory: true, messageId: id, headers }
      channel.publish(exchange, routingKey, content, properties, error => (error ? reject(error) : resolve()))
      void this.#options.clock.sleep(CONFIRM_MS, timer.signal).then(() => {
        if (timer.signal.aborted) return
        reject(new Error('not confirmed in time'))
        onTimeout()
      })
    }).finally(() => timer.abort('confirmed'))
  }

  /** Machines publish to the topic's exchange; others directly to its queue, or to the queue for the delay. */
  async #destination(topic: string, delayMs: number): Promise<Destination> {
    const { machine, topology } = this.#options
    if (machine) return { exchange: exchangeOf(topic), routingKey: topic }
    return { exchange: '', routingKey: delayMs > 0 ? await topology.delayQueue(topic, delayMs) : topic }
  }
}
