import type { ConfirmChannel, GetMessage } from 'amqplib'
import type { Clock, Log, Random } from '../../kit/clock.ts'
import { NoSuchTopic, type Outgoing, type Queue } from './queue.ts'
import { Feed, GROUP, giveBack, settle, TRIED } from './rabbitmq-feed.ts'
import { amqpCode, Link, type RabbitmqAccess } from './rabbitmq-link.ts'
import { deadLetters, exchangeOf, queuesOf } from './rabbitmq-queues.ts'

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
  /** How long the server needs until it has a new queue on its disk, in milliseconds; default 1.5 s. */
  settleMs?: number
}

const TOPIC = /^[A-Za-z0-9_-]{1,80}$/
const MAX_BODY_BYTES = 256 * 1024
const MAX_RECEIVE = 10
const VISIBILITY_MS = 30_000
const PREFETCH = 80
const PATIENCE_MS = 20_000
const SETTLE_MS = 1_500
/** A confirmation that takes longer does not come; the message is then sent once more. */
const CONFIRM_MS = 10_000
/** What most is sent by: one channel. */
const COMMON = ''

/** A Queue on a RabbitMQ server (3.10 or newer): a quorum queue for each topic, confirmed sends, reconnection without loss. */
export function rabbitmqQueue(options: RabbitmqOptions): Queue {
  const { clock, random, shared = [], machine = false, prefetch = PREFETCH, patienceMs = PATIENCE_MS } = options
  const link = new Link(options)
  const queues = queuesOf({ link, clock, patienceMs, settleMs: options.settleMs ?? SETTLE_MS })
  const feeds = new Map<string, Feed>()
  /** Messages that the server could not put anywhere. */
  const returned = new Set<string>()
  /** Queues that did not confirm; what is sent to them holds up nothing else. */
  const slow = new Set<string>()

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
      const ends = [...open].map(async message => {
        await handed(topic, message)
        open.delete(message)
      })
      const failed = (await Promise.allSettled(ends)).find(end => end.status === 'rejected')
      if (failed) throw failed.reason
    })
  }

  async function handed(topic: string, message: Sent): Promise<void> {
    const at = await place(topic, message.delayMs)
    const use = slow.has(at.key) ? at.key : COMMON
    const channel = await link.publisher(use, listening)
    await confirmed(channel, at, message, () => {
      slow.add(at.key)
      queues.retire(at.key)
      void link.abandon(use, channel)
    }).catch(error => {
      throw link.failureOf(channel) ?? error
    })
    if (use !== COMMON && slow.delete(use)) void link.abandon(use, channel)
    // An unroutable message is returned before it is confirmed.
    if (returned.delete(message.id)) throw new NoSuchTopic(topic)
  }

  function confirmed(channel: ConfirmChannel, at: Place, message: Sent, late: () => void): Promise<void> {
    const over = new AbortController()
    return new Promise<void>((resolve, reject) => {
      const properties = { persistent: true, mandatory: true, messageId: message.id, headers: message.headers }
      channel.publish(at.exchange, at.key, message.content, properties, error => (error ? reject(error) : resolve()))
      void clock.sleep(CONFIRM_MS, over.signal).then(() => {
        if (over.signal.aborted) return
        reject(new Error('not confirmed in time'))
        late()
      })
    }).finally(() => over.abort('over'))
  }

  /** Where a message is put: through the topic's exchange by machines, else right into its queue or into a delay's. */
  async function place(topic: string, delayMs: number): Promise<Place> {
    if (machine) return { exchange: exchangeOf(topic), key: topic }
    return { exchange: '', key: delayMs > 0 ? await queues.delay(topic, delayMs) : topic }
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
      await publish(topic, [{ id, delayMs, content: raw.content, headers }])
      settle(held)
    } catch (error) {
      giveBack(held)
      throw error
    }
  }

  return {
    async declare(topic) {
      if (!TOPIC.test(topic)) throw new RangeError(`not a topic: ${topic.slice(0, 100)}`)
      await queues.topic(topic)
      if (!shared.includes(topic)) return
      await link.persist(patienceMs, () =>
        link.apart(async channel => {
          await channel.assertExchange(exchangeOf(topic), 'fanout', { durable: true })
          await channel.bindQueue(topic, exchangeOf(topic), '')
        }),
      )
    },
    async remove(topic) {
      await link.persist(patienceMs, () =>
        link.apart(async channel => {
          for (const name of [deadLetters(topic), topic]) await channel.deleteQueue(name)
          if (shared.includes(topic)) await channel.deleteExchange(exchangeOf(topic))
        }),
      )
      feeds.get(topic)?.end(new NoSuchTopic(topic))
      feeds.delete(topic)
    },
    async send(topic, messages) {
      if (link.closed) throw new Error('the queue is closed')
      for (const { body } of messages) checkBody(body)
      const sent = messages.map(({ body, group, delayMs = 0 }: Outgoing) => ({
        id: random.uuid(),
        delayMs,
        content: Buffer.from(body),
        headers: groupOf(group),
      }))
      await publish(topic, sent).catch(error => {
        // A machine's topic that is not there is an exchange that is not there.
        throw amqpCode(error) === 404 ? new NoSuchTopic(topic) : error
      })
    },
    async backlog(topic) {
      const asked = link.persist(patienceMs, () => link.apart(channel => channel.checkQueue(topic)))
      return asked.then(
        ({ messageCount }) => messageCount,
        error => {
          if (amqpCode(error) === 404) return 0
          throw error
        },
      )
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
  delayMs: number
  content: Buffer
  headers: Record<string, unknown>
}

interface Place {
  exchange: string
  key: string
}

const groupOf = (group: unknown) => (typeof group === 'string' ? { [GROUP]: group } : {})

function checkBody(body: string): void {
  // A UTF-16 unit has at most three bytes, so most bodies need no counting.
  if (body.length * 3 > MAX_BODY_BYTES && Buffer.byteLength(body) > MAX_BODY_BYTES)
    throw new RangeError(`a message's body is at most ${MAX_BODY_BYTES} bytes`)
}
