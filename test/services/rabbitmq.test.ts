import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { connect } from 'amqplib'
import { type Message, NotAdmitted, type Queue } from '../../lib/platform/queue/queue.ts'
import { type RabbitmqOptions, rabbitmqQueue } from '../../lib/platform/queue/rabbitmq.ts'
import { QueueAway } from '../../lib/platform/queue/rabbitmq-link.ts'
import { deadLetters, rounded } from '../../lib/platform/queue/rabbitmq-queues.ts'
import { systemClock as clock, systemRandom as random } from '../../lib/wiring/system.ts'
import { queueCases } from '../cases/queue.ts'
import { log } from '../datastores/postgresql/cluster.ts'
import { newRabbit, type RabbitServer } from './rabbitmq-server.ts'

let server: RabbitServer
let topics = 0

beforeAll(async () => {
  server = await newRabbit()
}, 90_000)
afterAll(() => server.remove(), 60_000)

const newTopic = () => `topic-${++topics}`
/** Longer than the server needs to come back on a busy machine. */
const PATIENCE_MS = 150_000
const open = (more: Partial<RabbitmqOptions> = {}): Queue =>
  rabbitmqQueue({ access: async () => ({ url: server.url }), clock, random, log, patienceMs: PATIENCE_MS, ...more })

queueCases(
  'RabbitMQ queue',
  async () => {
    const queue = open({ settleMs: 0 })
    const topic = async () => {
      const name = newTopic()
      await queue.declare(name)
      return name
    }
    return {
      queue,
      topic,
      declare: queue.declare,
      remove: queue.remove,
      advance: ms => clock.sleep(ms),
      close: queue.close,
    }
  },
  { fair: false, backlog: true, timeout: 60_000 },
)

/** A topic of its own with a queue; the queue is closed afterwards. */
async function using<T>(work: (queue: Queue, topic: string) => Promise<T>): Promise<T> {
  const queue = open()
  const topic = newTopic()
  try {
    await queue.declare(topic)
    return await work(queue, topic)
  } finally {
    await queue.close()
  }
}

async function one(queue: Queue, topic: string): Promise<Message> {
  const [message] = await queue.receive(topic, { max: 1, waitMs: 20_000 })
  if (!message) throw new Error('no message')
  return message
}

describe('RabbitMQ queue of its own', () => {
  it('rounds delays up to few, never by more than a third', () => {
    const ends = [1, 10, 11, 99, 100, 101, 999, 1_000, 1_250, 3_000, 3_001, 86_400_000].map(rounded)
    expect(ends).toEqual([10, 10, 13, 100, 100, 125, 1_000, 1_000, 1_250, 3_000, 4_000, 100_000_000])
  })

  it('puts aside what is buried, and what is delivered too often', () =>
    using(async (queue, topic) => {
      await queue.send(topic, [{ body: 'buried' }])
      await queue.bury?.(topic, [(await one(queue, topic)).receipt])
      expect(await one(queue, deadLetters(topic))).toMatchObject({ body: 'buried' })
      await queue.send(topic, [{ body: 'poison' }])
      const aside = one(queue, deadLetters(topic))
      for (let attempt = 1; attempt <= 11; attempt++) {
        const message = await one(queue, topic)
        expect(message.attempt).toBe(attempt)
        await queue.release(topic, [message.receipt])
      }
      expect(await aside).toMatchObject({ body: 'poison' })
    }))

  it('counts attempts through releases with a delay', () =>
    using(async (queue, topic) => {
      await queue.send(topic, [{ body: 'x', group: 'demo' }])
      const first = await one(queue, topic)
      await queue.release(topic, [first.receipt])
      await queue.release(topic, [(await one(queue, topic)).receipt], 10)
      const third = await one(queue, topic)
      expect(third).toMatchObject({ id: first.id, attempt: 3, group: 'demo' })
      await queue.release(topic, [third.receipt])
      expect(await one(queue, topic)).toMatchObject({ id: first.id, attempt: 4 })
    }))

  it('gives what one process held to another when it ends', () =>
    using(async (queue, topic) => {
      const other = open()
      await queue.send(topic, [{ body: 'a' }, { body: 'b' }])
      await one(other, topic)
      await other.close()
      const bodies = [await one(queue, topic), await one(queue, topic)].map(({ body }) => body)
      expect(bodies.sort()).toEqual(['a', 'b'])
    }))

  it('comes by TLS, to a server whose certificate it trusts only', () =>
    using(async (queue, topic) => {
      const trusting = open({ access: async () => server.secure })
      await trusting.send(topic, [{ body: 'x' }])
      expect(await one(queue, topic)).toMatchObject({ body: 'x' })
      const wary = open({ access: async () => ({ url: server.secure.url }), patienceMs: 100 })
      await expect(wary.send(topic, [{ body: 'x' }])).rejects.toThrow(/self.signed/)
      await Promise.all([trusting.close(), wary.close()])
    }))

  it('says who is not admitted', async () => {
    const stranger = open({ access: async () => ({ url: server.address, username: 'nobody', password: 'x' }) })
    await expect(stranger.receive('t', { max: 1, waitMs: 5_000 })).rejects.toThrow(NotAdmitted)
    await expect(stranger.send('t', [{ body: 'x' }])).rejects.toThrow(NotAdmitted)
    await stranger.close()
  })

  it(
    'loses nothing when the server is killed in the middle',
    () =>
      using(async (queue, topic) => {
        const consumer = open()
        // It gives up long before a server is back: its caller hears of it and tries again.
        const hasty = open({ patienceMs: 300 })
        const seen = new Set<string>()
        const sent = new Set<string>()
        let failures = 0
        const end = clock.now() + 240_000
        let [sending, all] = [true, false]
        const receive = async () => {
          while (clock.now() < end && (!all || [...sent].some(body => !seen.has(body)))) {
            const messages = await consumer.receive(topic, { max: 10, waitMs: 500 })
            for (const { body } of messages) seen.add(body)
            await consumer.ack(
              topic,
              messages.map(({ receipt }) => receipt),
            )
          }
        }
        const send = async (by: Queue, worker: number) => {
          for (let number = 0; sending && clock.now() < end; number++) {
            const body = `${worker}-${number}`
            const message = { body, ...(number % 5 === 0 && { delayMs: 20 }) }
            while (!sent.has(body) && clock.now() < end)
              await by.send(topic, [message]).then(
                () => sent.add(body),
                error => {
                  expect(error).toBeInstanceOf(QueueAway)
                  failures++
                },
              )
          }
        }
        const receiving = receive()
        const senders = [queue, queue, queue, hasty].map(send)
        for (let round = 0; round < 2; round++) {
          await grown(sent, 100, end)
          await server.kill()
          await server.start()
        }
        await grown(sent, 20, end)
        sending = false
        await Promise.all(senders)
        all = true
        await receiving
        expect([...sent].filter(body => !seen.has(body))).toEqual([])
        expect(failures).toBeGreaterThan(0)
        await Promise.all([consumer.close(), hasty.close()])
      }),
    300_000,
  )

  it('makes a topic anew of which only the place for what is put aside is there', () =>
    using(async (queue, topic) => {
      const connection = await connect(server.url)
      await (await connection.createChannel()).deleteQueue(topic)
      await connection.close()
      await queue.declare(topic)
      await queue.send(topic, [{ body: 'x' }])
      expect(await one(queue, topic)).toMatchObject({ body: 'x' })
    }))

  // What a server killed within a second of making a queue comes back with: one that never answers.
  it(
    'makes a topic anew that was not done when the server was killed',
    () =>
      using(async queue => {
        const topic = newTopic()
        const connection = await connect(server.url)
        connection.on('error', () => {})
        const channel = await connection.createChannel()
        await channel.assertQueue(topic, { durable: true, arguments: { 'x-queue-type': 'quorum' } })
        await server.kill()
        await server.start()
        await queue.declare(topic)
        await queue.send(topic, [{ body: 'x' }])
        expect(await one(queue, topic)).toMatchObject({ body: 'x' })
      }),
    300_000,
  )

  it(
    'goes round a queue that does not answer',
    () =>
      using(async (queue, topic) => {
        const hasty = open({ settleMs: 0 })
        await hasty.send(topic, [{ body: 'perhaps lost', delayMs: 20 }])
        await server.kill()
        await server.start()
        await Promise.all([
          queue.send(topic, [{ body: 'late', delayMs: 20 }]),
          queue.send(topic, [{ body: 'at once' }]),
        ])
        const bodies = new Set<string>()
        while (!bodies.has('late') || !bodies.has('at once')) {
          const { body, receipt } = await one(queue, topic)
          bodies.add(body)
          await queue.ack(topic, [receipt])
        }
        await hasty.close()
      }),
    300_000,
  )
})

/** Waits until there are so many more; throws at `end`. */
async function grown(set: Set<string>, by: number, end: number): Promise<void> {
  for (const before = set.size; set.size < before + by; ) {
    if (clock.now() > end) throw new Error(`${set.size - before} of ${by} in time`)
    await clock.sleep(10)
  }
}
