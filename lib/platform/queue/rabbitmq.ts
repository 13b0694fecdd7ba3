import type { ConfirmChannel, GetMessage } from 'amqplib'
import type { Clock, Log, Random } from '../../kit/clock.ts'
import { NoSuchTopic, type Outgoing, type Queue } from './queue.ts'
import { Feed, GROUP, giveBack, settle, TRIED } from './rabbitmq-feed.ts'
import { amqpCode, Link, type RabbitmqAccess } from './rabbitmq-link.ts'

export interface RabbitmqOptions {
  /** Where the server is and who comes; asked at each connection. */
  access: () => Promise<RabbitmqAccess>
  clock: Clock
  random: Random
  log: Log
  /** Topics that machines send to, each by an exchange of its own, which their credentials can name. */
  shared?: string[]
  /** A machine's own end: it declares nothing, sends to shared topics only, and holds back itself what it releases with a delay. */
  machine?: boolean
  /** The most deliveries of a topic that this process holds or has received and not answered for; default 80. */
  prefetch?: number
  /** How long a call waits for a server that is away before it throws QueueAway, in milliseconds; default 20 s. */
  patienceMs?: number
}

const TOPIC = /^[A-Za-z0-9_-]{1,80}$/
const MAX_BODY_BYTES = 256 * 1024
const MAX_RECEIVE = 10
const VISIBILITY_MS = 30_000
const PREFETCH = 80
const PATIENCE_MS = 20_000
/** A confirmation that takes longer does not come; the message is then sent once more. */
const CONFIRM_MS = 10_000
/** Deliveries of one message before the server puts it aside: of a message that ends whoever takes it. */
const DELIVERY_LIMIT = 10

/** A queue for one delay ends this long after its last message has left. */
const DELAY_KEPT_MS = 600_000
const DELAY_DECLARED_MS = 60_000
/** Delays are rounded up to these, times a power of ten: never early, at most a third late, and few queues. */
const STEPS = [1, 1.25, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10]

/** What operators find aside: messages that were delivered too often. */
export const deadLetters = (topic: string) => `${topic}.dlq`
/** Where machines send what is for the topic. */
export const exchangeOf = (topic: string) => `to.${topic}`

/** A Queue on a RabbitMQ server (3.10 or newer): a quorum queue for each topic, confirmed sends, reconnection without loss. */
export function rabbitmqQueue(options: RabbitmqOptions): Queue {
  const { clock, random, shared = [], machine = false, prefetch = PREFETCH, patienceMs = PATIENCE_MS } = options
  const link = new Link(options)
  const feeds = new Map<string, Feed>()
  /** Messages that the server could not put anywhere. */
  const returned = new Set<string>()
  const delays = new Map<string, number>()

  function feedOf(topic: string): Feed {
    if (link.closed) throw new Error('the queue is closed')
    const feed = feeds.get(topic) ?? new Feed(topic, { link, clock, random, prefetch, visibilityMs: VISIBILITY_MS })
    feeds.set(topic, feed)
    return feed
  }

  const listening = (channel: ConfirmChannel) =>
    void channel.on('return', (message: GetMessage) => returned.add(String(message.properties.messageId)))

  /** Hands messages over and waits until the server has them on its disk. */
  async function publish(topic: string, messages: Sent[]): Promise<void> {
    const open = new Set(messages)
    await link.persist(patienceMs, async () => {
      const channel = await link.publisher(listening)
      const ends = [...open].map(async message => {
        await confirmed(channel, message)
        // An unroutable message is returned before it is confirmed.
        if (returned.delete(message.id)) throw new NoSuchTopic(topic)
        open.delete(message)
      })
      const failed = (await Promise.allSettled(ends)).find(end => end.status === 'rejected')
      if (failed) throw link.failureOf(channel) ?? failed.reason
    })
  }

  function confirmed(channel: ConfirmChannel, { id, exchange, key, content, headers }: Sent): Promise<void> {
    const over = new AbortController()
    return new Promise<void>((resolve, reject) => {
      const properties = { persistent: true, mandatory: true, messageId: id, headers }
      channel.publish(exchange, key, content, properties, error => (error ? reject(error) : resolve()))
      void clock.sleep(CONFIRM_MS, over.signal).then(() => {
        if (over.signal.aborted) return
        reject(new Error('not confirmed in time'))
        link.abandon(channel)
      })
    }).finally(() => over.abort('over'))
  }

  /** The queue in which messages for the topic wait for so long. */
  async function delayed(topic: string, delayMs: number): Promise<string> {
    const ms = rounded(delayMs)
    const name = `${topic}.delay.${ms}`
    if ((delays.get(name) ?? -Infinity) > clock.now() - DELAY_DECLARED_MS) return name
    await link.persist(patienceMs, () =>
      link.apart(async channel => {
        await channel.checkQueue(topic).catch(error => {
          throw amqpCode(error) === 404 ? new NoSuchTopic(topic) : error
        })
        await channel.assertQueue(name, { durable: true, arguments: delayArguments(topic, ms) })
      }),
    )
    delays.set(name, clock.now())
    return name
  }

  /** Where a message is put: through the topic's exchange by machines, else right into its queue or into a delay's. */
  async function place(topic: string, delayMs: number): Promise<{ exchange: string; key: string }> {
    if (machine) return { exchange: exchangeOf(topic), key: topic }
    return { exchange: '', key: delayMs > 0 ? await delayed(topic, delayMs) : topic }
  }

  async function releaseLater(topic: string, feed: Feed, receipt: string, delayMs: number): Promise<void> {
    const held = feed.let(receipt)
    if (!held) return
    if (machine) {
      void clock.sleep(delayMs).then(() => giveBack(held))
      return
    }
    const { raw, attempt } = held
    const headers = { ...groupOf(raw.properties.headers?.[GROUP]), [TRIED]: attempt }
    const id = String(raw.properties.messageId)
    try {
      // The new one is safe before the old one goes.
      await publish(topic, [{ id, ...(await place(topic, delayMs)), content: raw.content, headers }])
      settle(held)
    } catch (error) {
      giveBack(held)
      throw error
    }
  }

  return {
    async declare(topic) {
      if (!TOPIC.test(topic)) throw new RangeError(`not a topic: ${topic.slice(0, 100)}`)
      await link.persist(patienceMs, () =>
        link.apart(async channel => {
          await channel.assertQueue(deadLetters(topic), { durable: true })
          await channel.assertQueue(topic, { durable: true, arguments: topicArguments(topic) })
          if (!shared.includes(topic)) return
          await channel.assertExchange(exchangeOf(topic), 'fanout', { durable: true })
          await channel.bindQueue(topic, exchangeOf(topic), '')
        }),
      )
    },
    async remove(topic) {
      await link.persist(patienceMs, () =>
        link.apart(async channel => {
          for (const name of [topic, deadLetters(topic)]) await channel.deleteQueue(name)
          if (shared.includes(topic)) await channel.deleteExchange(exchangeOf(topic))
        }),
      )
      feeds.get(topic)?.end(new NoSuchTopic(topic))
      feeds.delete(topic)
    },
    async send(topic, messages) {
      if (link.closed) throw new Error('the queue is closed')
      for (const { body } of messages) checkBody(body)
      const sent = messages.map(async ({ body, group, delayMs = 0 }: Outgoing) => ({
        id: random.uuid(),
        ...(await place(topic, delayMs)),
        content: Buffer.from(body),
        headers: groupOf(group),
      }))
      await publish(topic, await Promise.all(sent)).catch(error => {
        // A machine's topic that is not there is an exchange that is not there.
        throw amqpCode(error) === 404 ? new NoSuchTopic(topic) : error
      })
    },
    async receive(topic, wanted) {
      if (!(wanted.max >= 1 && wanted.max <= MAX_RECEIVE)) throw new RangeError(`max is 1 to ${MAX_RECEIVE}`)
      return feedOf(topic).receive(wanted)
    },
    async ack(topic, receipts) {
      for (const receipt of receipts) {
        const held = feeds.get(topic)?.let(receipt)
        if (held) settle(held)
      }
    },
    async extend(topic, receipt, ms) {
      feeds.get(topic)?.hide(receipt, ms)
    },
    async release(topic, receipts, delayMs = 0) {
      const feed = feedOf(topic)
      if (delayMs > 0) await Promise.all(receipts.map(receipt => releaseLater(topic, feed, receipt, delayMs)))
      else for (const held of receipts.map(receipt => feed.let(receipt))) if (held) giveBack(held)
    },
    async bury(topic, receipts) {
      for (const held of receipts.map(receipt => feeds.get(topic)?.let(receipt))) if (held) giveBack(held, false)
    },
    async close() {
      for (const feed of feeds.values()) feed.close()
      await link.close()
    },
  }
}

/** A message on its way out. */
interface Sent {
  id: string
  exchange: string
  key: string
  content: Buffer
  headers: Record<string, unknown>
}

const groupOf = (group: unknown) => (typeof group === 'string' ? { [GROUP]: group } : {})

function checkBody(body: string): void {
  // A UTF-16 unit has at most three bytes, so most bodies need no counting.
  if (body.length * 3 > MAX_BODY_BYTES && Buffer.byteLength(body) > MAX_BODY_BYTES)
    throw new RangeError(`a message's body is at most ${MAX_BODY_BYTES} bytes`)
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
