import type { Clock, Log, Random } from '../../../kit/clock.ts'
import { NoSuchTopic, type Outgoing, type Queue } from '../../../ports/queue.ts'
import { amqpCode, RabbitmqConnection, type RabbitmqEndpoint } from './connection.ts'
import { ATTEMPTS_HEADER, Consumer, GROUP_HEADER, requeue, settle } from './consumer.ts'
import { Publisher } from './publisher.ts'
import { deadLetters, exchangeOf, Topology } from './topology.ts'

export interface RabbitmqOptions {
  /** The server's address and the credentials; called for each new connection. */
  access: () => Promise<RabbitmqEndpoint>
  clock: Clock
  random: Random
  log: Log
  /** Topics that machines send to. Each has an exchange of its own, which a machine's permissions can name. */
  shared?: string[]
  /**
   * On a machine: declares nothing, sends to shared topics only, and delays a released message by a timer of its own.
   */
  machine?: boolean
  /** The most deliveries of a topic that this process buffers or has received and not acked; default 80. */
  prefetch?: number
  /**
   * How long a call waits for a server that cannot be reached before it throws QueueUnavailable, in ms; default 20 s.
   */
  patienceMs?: number
  /** How long the server needs to write a new queue to its disk, in milliseconds; default 1.5 s. */
  settleMs?: number
}

const TOPIC = /^[A-Za-z0-9_-]{1,80}$/
const MAX_BODY_BYTES = 256 * 1024
const MAX_RECEIVE = 10
const VISIBILITY_MS = 30_000
const PREFETCH = 80
const PATIENCE_MS = 20_000
const SETTLE_MS = 1_500

/**
 * A Queue on a RabbitMQ server (3.10 or newer): a quorum queue for each topic, confirmed sends, reconnection without
 * loss.
 */
export function rabbitmqQueue(options: RabbitmqOptions): Queue {
  const queue = new RabbitmqTopics(options)
  return {
    declare: topic => queue.declare(topic),
    remove: topic => queue.remove(topic),
    send: (topic, messages) => queue.send(topic, messages),
    backlog: topic => queue.backlog(topic),
    async receive(topic, request) {
      if (!(request.max >= 1 && request.max <= MAX_RECEIVE)) throw new RangeError(`max is 1 to ${MAX_RECEIVE}`)
      return queue.consumer(topic).receive(request)
    },
    ack: async (topic, receipts) => queue.ack(topic, receipts),
    extend: async (topic, receipt, ms) => queue.existingConsumer(topic)?.hide(receipt, ms),
    release: (topic, receipts, delayMs = 0) => queue.release(topic, receipts, delayMs),
    deadLetter: async (topic, receipts) => queue.deadLetter(topic, receipts),
    close: () => queue.close(),
  }
}

class RabbitmqTopics {
  readonly #options: RabbitmqOptions
  readonly #shared: string[]
  readonly #patienceMs: number
  readonly #connection: RabbitmqConnection
  readonly #topology: Topology
  readonly #publisher: Publisher
  readonly #consumers = new Map<string, Consumer>()

  constructor(options: RabbitmqOptions) {
    const { clock, shared = [], machine = false, patienceMs = PATIENCE_MS, settleMs = SETTLE_MS } = options
    const connection = new RabbitmqConnection(options)
    const topology = new Topology({ connection, clock, patienceMs, settleMs })
    this.#options = options
    this.#shared = shared
    this.#patienceMs = patienceMs
    this.#connection = connection
    this.#topology = topology
    this.#publisher = new Publisher({ connection, topology, clock, machine, patienceMs })
  }

  existingConsumer(topic: string): Consumer | undefined {
    return this.#consumers.get(topic)
  }

  consumer(topic: string): Consumer {
    if (this.#connection.closed) throw new Error('the queue is closed')
    const { clock, random, prefetch = PREFETCH } = this.#options
    const connection = this.#connection
    const consumer =
      this.#consumers.get(topic) ??
      new Consumer(topic, { connection, clock, random, prefetch, visibilityMs: VISIBILITY_MS })
    this.#consumers.set(topic, consumer)
    return consumer
  }

  async declare(topic: string): Promise<void> {
    if (!TOPIC.test(topic)) throw new RangeError(`not a topic: ${topic.slice(0, 100)}`)
    await this.#topology.declare(topic)
    if (!this.#shared.includes(topic)) return
    await this.#connection.retryFor(this.#patienceMs, () =>
      this.#connection.onOwnChannel(async channel => {
        await channel.assertExchange(exchangeOf(topic), 'fanout', { durable: true })
        await channel.bindQueue(topic, exchangeOf(topic), '')
      }),
    )
  }

  async remove(topic: string): Promise<void> {
    await this.#connection.retryFor(this.#patienceMs, () =>
      this.#connection.onOwnChannel(async channel => {
        for (const name of [deadLetters(topic), topic]) await channel.deleteQueue(name)
        if (this.#shared.includes(topic)) await channel.deleteExchange(exchangeOf(topic))
      }),
    )
    this.#consumers.get(topic)?.end(new NoSuchTopic(topic))
    this.#consumers.delete(topic)
  }

  async send(topic: string, messages: Outgoing[]): Promise<void> {
    if (this.#connection.closed) throw new Error('the queue is closed')
    for (const { body } of messages) checkBody(body)
    const publications = messages.map(({ body, group, delayMs = 0 }) => ({
      id: this.#options.random.uuid(),
      delayMs,
      content: Buffer.from(body),
      headers: groupHeader(group),
    }))
    await this.#publisher.publish(topic, publications).catch(error => {
      // A machine sends to an exchange: the topic is missing when its exchange is.
      throw amqpCode(error) === 404 ? new NoSuchTopic(topic) : error
    })
  }

  async backlog(topic: string): Promise<number> {
    try {
      const { messageCount } = await this.#connection.retryFor(this.#patienceMs, () =>
        this.#connection.onOwnChannel(channel => channel.checkQueue(topic)),
      )
      return messageCount
    } catch (error) {
      if (amqpCode(error) === 404) return 0
      throw error
    }
  }

  ack(topic: string, receipts: string[]): void {
    for (const receipt of receipts) {
      const delivery = this.#consumers.get(topic)?.take(receipt)
      if (delivery) settle(delivery)
    }
  }

  deadLetter(topic: string, receipts: string[]): void {
    for (const receipt of receipts) {
      const delivery = this.#consumers.get(topic)?.take(receipt)
      if (delivery) requeue(delivery, false)
    }
  }

  async release(topic: string, receipts: string[], delayMs: number): Promise<void> {
    const consumer = this.consumer(topic)
    if (delayMs > 0) {
      await Promise.all(receipts.map(receipt => this.#releaseLater(topic, consumer, receipt, delayMs)))
      return
    }
    for (const receipt of receipts) {
      const delivery = consumer.take(receipt)
      if (delivery) requeue(delivery)
    }
  }

  async #releaseLater(topic: string, consumer: Consumer, receipt: string, delayMs: number): Promise<void> {
    const { machine = false, clock } = this.#options
    const delivery = consumer.take(receipt)
    if (!delivery) return
    if (machine) {
      void clock.sleep(delayMs).then(() => requeue(delivery))
      return
    }
    const { raw, attempt } = delivery
    const headers = { ...groupHeader(raw.properties.headers?.[GROUP_HEADER]), [ATTEMPTS_HEADER]: attempt }
    const id = String(raw.properties.messageId)
    try {
      // Publish the new message before the old one is acked, so that a crash between the two loses nothing.
      await this.#publisher.publish(topic, [{ id, delayMs, content: raw.content, headers }])
      settle(delivery)
    } catch (error) {
      requeue(delivery)
      throw error
    }
  }

  async close(): Promise<void> {
    for (const consumer of this.#consumers.values()) consumer.close()
    await this.#connection.close()
  }
}

const groupHeader = (group: unknown) => (typeof group === 'string' ? { [GROUP_HEADER]: group } : {})

function checkBody(body: string): void {
  // A UTF-16 unit has at most three bytes, so most bodies need no counting.
  if (body.length * 3 > MAX_BODY_BYTES && Buffer.byteLength(body) > MAX_BODY_BYTES)
    throw new RangeError(`a message's body is at most ${MAX_BODY_BYTES} bytes`)
}
