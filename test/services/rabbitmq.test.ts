import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { connect } from 'amqplib'
import { QueueUnavailable } from '../../lib/platform/queue/rabbitmq/connection.ts'
import { type RabbitmqOptions, rabbitmqQueue } from '../../lib/platform/queue/rabbitmq/queue.ts'
import { deadLetters, roundDelay } from '../../lib/platform/queue/rabbitmq/topology.ts'
import { AccessDenied, type Message, type Queue } from '../../lib/ports/queue.ts'
import { systemClock as clock, systemRandom as random } from '../../lib/wiring/system.ts'
import { queueCases } from '../cases/queue.ts'
import { log } from '../datastores/postgresql/cluster.ts'
import { type RabbitServer, startRabbit } from './rabbitmq-server.ts'

let server: RabbitServer
let topics = 0

beforeAll(async () => {
  server = await startRabbit()
}, 90_000)
afterAll(() => server.remove(), 60_000)

const newTopic = () => `topic-${++topics}`
/** Longer than the server needs to start again on a busy machine. */
const PATIENCE_MS = 150_000
const open = (options: Partial<RabbitmqOptions> = {}): Queue =>
  rabbitmqQueue({ access: async () => ({ url: server.url }), clock, random, log, patienceMs: PATIENCE_MS, ...options })

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

/** Runs `work` with a queue and a new topic, and closes the queue. */
async function withTopic<T>(work: (queue: Queue, topic: string) => Promise<T>): Promise<T> {
  const queue = open()
  const topic = newTopic()
  try {
    await queue.declare(topic)
    return await work(queue, topic)
  } finally {
    await queue.close()
  }
}

async function receiveOne(queue: Queue, topic: string): Promise<Message> {
  const [message] = await queue.receive(topic, { max: 1, waitMs: 20_000 })
  if (!message) throw new Error('no message')
  return message
}

describe('RabbitMQ queue: the broker', () => {
  it('rounds delays up to a few values, by at most a third', () => {
    const ends = [1, 10, 11, 99, 100, 101, 999, 1_000, 1_250, 3_000, 3_001, 86_400_000].map(roundDelay)
    expect(ends).toEqual([10, 10, 13, 100, 100, 125, 1_000, 1_000, 1_250, 3_000, 4_000, 100_000_000])
  })

  it('dead-letters a message on request, and one that is delivered too often', () =>
    withTopic(async (queue, topic) => {
      await queue.send(topic, [{ body: 'buried' }])
      await queue.deadLetter?.(topic, [(await receiveOne(queue, topic)).receipt])
      expect(await receiveOne(queue, deadLetters(topic))).toMatchObject({ body: 'buried' })
      await queue.send(topic, [{ body: 'poison' }])
      const deadLetter = receiveOne(queue, deadLetters(topic))
      for (let attempt = 1; attempt <= 11; attempt++) {
        const message = await receiveOne(queue, topic)
        expect(message.attempt).toBe(attempt)
        await queue.release(topic, [message.receipt])
      }
      expect(await deadLetter).toMatchObject({ body: 'poison' })
    }))

  it('counts attempts through releases with a delay', () =>
    withTopic(async (queue, topic) => {
      await queue.send(topic, [{ body: 'x', group: 'demo' }])
      const first = await receiveOne(queue, topic)
      await queue.release(topic, [first.receipt])
      await queue.release(topic, [(await receiveOne(queue, topic)).receipt], 10)
      const third = await receiveOne(queue, topic)
      expect(third).toMatchObject({ id: first.id, attempt: 3, group: 'demo' })
      await queue.release(topic, [third.receipt])
      expect(await receiveOne(queue, topic)).toMatchObject({ id: first.id, attempt: 4 })
    }))

  it('delivers the messages of a closed consumer to another one', () =>
    withTopic(async (queue, topic) => {
      const other = open()
      await queue.send(topic, [{ body: 'a' }, { body: 'b' }])
      await receiveOne(other, topic)
      await other.close()
      const bodies = [await receiveOne(queue, topic), await receiveOne(queue, topic)].map(({ body }) => body)
      expect(bodies.sort()).toEqual(['a', 'b'])
    }))

  it('connects by TLS, only to a server whose certificate it trusts', () =>
    withTopic(async (queue, topic) => {
      const trusting = open({ access: async () => server.secure })
      await trusting.send(topic, [{ body: 'x' }])
      expect(await receiveOne(queue, topic)).toMatchObject({ body: 'x' })
      const untrusting = open({ access: async () => ({ url: server.secure.url }), patienceMs: 100 })
      await expect(untrusting.send(topic, [{ body: 'x' }])).rejects.toThrow(/self.signed/)
      await Promise.all([trusting.close(), untrusting.close()])
    }))

  it('refuses an unknown user', async () => {
    const stranger = open({ access: async () => ({ url: server.address, username: 'nobody', password: 'x' }) })
    await expect(stranger.receive('t', { max: 1, waitMs: 5_000 })).rejects.toThrow(AccessDenied)
    await expect(stranger.send('t', [{ body: 'x' }])).rejects.toThrow(AccessDenied)
    await stranger.close()
  })

  it(
    'loses no message when the server is killed',
    () =>
      withTopic(async (queue, topic) => {
        const consumer = open()
        // This one gives up long before a server is back: its caller gets the error and tries again.
        const hasty = open({ patienceMs: 300 })
        const received = new Set<string>()
        const published = new Set<string>()
        let failures = 0
        const end = clock.now() + 240_000
        let [isSending, allSent] = [true, false]
        const receive = async () => {
          while (clock.now() < end && (!allSent || [...published].some(body => !received.has(body)))) {
            const messages = await consumer.receive(topic, { max: 10, waitMs: 500 })
            for (const { body } of messages) received.add(body)
            await consumer.ack(
              topic,
              messages.map(({ receipt }) => receipt),
            )
          }
        }
        const send = async (by: Queue, worker: number) => {
          for (let number = 0; isSending && clock.now() < end; number++) {
            const body = `${worker}-${number}`
            const message = { body, ...(number % 5 === 0 && { delayMs: 20 }) }
            while (!published.has(body) && clock.now() < end)
              await by.send(topic, [message]).then(
                () => published.add(body),
                error => {
                  expect(error).toBeInstanceOf(QueueUnavailable)
                  failures++
                },
              )
          }
        }
        const receiving = receive()
        const senders = [queue, queue, queue, hasty].map(send)
        for (let round = 0; round < 2; round++) {
          await untilGrown(published, 100, end)
          await server.kill()
          await server.start()
        }
        await untilGrown(published, 20, end)
        isSending = false
        await Promise.all(senders)
        allSent = true
        await receiving
        expect([...published].filter(body => !received.has(body))).toEqual([])
        expect(failures).toBeGreaterThan(0)
        await Promise.all([consumer.close(), hasty.close()])
      }),
    300_000,
  )

  it('declares a topic again of which only the dead-letter queue exists', () =>
    withTopic(async (queue, topic) => {
      const connection = await connect(server.url)
      await (await connection.createChannel()).deleteQueue(topic)
      await connection.close()
      await queue.declare(topic)
      await queue.send(topic, [{ body: 'x' }])
      expect(await receiveOne(queue, topic)).toMatchObject({ body: 'x' })
    }))

  // A server that is killed within a second of a declaration comes back with a queue that never answers.
  it(
    'declares a topic again whose declaration was interrupted by a kill of the server',
    () =>
      withTopic(async queue => {
        const topic = newTopic()
        const connection = await connect(server.url)
        connection.on('error', () => {})
        const channel = await connection.createChannel()
        await channel.assertQueue(topic, { durable: true, arguments: { 'x-queue-type': 'quorum' } })
        await server.kill()
        await server.start()
        await queue.declare(topic)
        await queue.send(topic, [{ body: 'x' }])
        expect(await receiveOne(queue, topic)).toMatchObject({ body: 'x' })
      }),
    300_000,
  )

  it(
    'bypasses a delay queue that does not answer',
    () =>
      withTopic(async (queue, topic) => {
        const hasty = open({ settleMs: 0 })
        await hasty.send(topic, [{ body: 'perhaps lost', delayMs: 20 }])
        await server.kill()
        await server.start()
        await Promise.all([
          queue.send(topic, [{ body: 'delayed', delayMs: 20 }]),
          queue.send(topic, [{ body: 'at once' }]),
        ])
        const bodies = new Set<string>()
        while (!bodies.has('delayed') || !bodies.has('at once')) {
          const { body, receipt } = await receiveOne(queue, topic)
          bodies.add(body)
          await queue.ack(topic, [receipt])
        }
        await hasty.close()
      }),
    300_000,
  )
})

/** Waits until the set has `by` elements more; throws at `end`. */
async function untilGrown(set: Set<string>, by: number, end: number): Promise<void> {
  for (const before = set.size; set.size < before + by; ) {
    if (clock.now() > end) throw new Error(`${set.size - before} of ${by} in time`)
    await clock.sleep(10)
  }
}
