import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { type Message, NoSuchTopic, type Queue } from '../../lib/ports/queue.ts'

/** One backend set up for one test. */
export interface QueueSetup {
  /** The queue under test. */
  queue: Queue
  /** Declares a topic under a new name. */
  topic(): Promise<string>
  /** Declares a topic that may exist. */
  declare(topic: string): Promise<void>
  remove(topic: string): Promise<void>
  /** Lets `ms` pass on the backend's clock, after all earlier calls have reached the backend. */
  advance(ms: number): Promise<void>
  /** Cleans up; the queue may be closed already. */
  close(): Promise<void>
}

/** How backends may differ. */
export interface QueueTraits {
  /** `extend` has an effect. */
  extend: boolean
  /** Groups take turns. */
  fair: boolean
  /** Messages are delivered with their group; a name = with this group, whatever the sender said. */
  groups: boolean | string
  /** A sender may delay a message. */
  delays: boolean
  /** It implements `backlog`. */
  backlog: boolean
  /** How long a test may take, in milliseconds. */
  timeout: number
}

const DEFAULT_TRAITS: QueueTraits = {
  extend: true,
  fair: true,
  groups: true,
  delays: true,
  backlog: false,
  timeout: 10_000,
}

/** The suite of every queue. */
export function queueCases(name: string, make: () => Promise<QueueSetup>, traits: Partial<QueueTraits> = {}): void {
  const { extend, fair, groups, delays, backlog, timeout } = { ...DEFAULT_TRAITS, ...traits }
  let setup: QueueSetup
  let queue: Queue
  let topic: string

  const test = (title: string, run: () => Promise<void>) => it(title, run, timeout)

  /** Receives until there are `count` messages; hangs if they do not come. */
  async function receive(count: number, from = topic): Promise<Message[]> {
    const messages: Message[] = []
    while (messages.length < count)
      messages.push(...(await queue.receive(from, { max: Math.min(count - messages.length, 10), waitMs: 5_000 })))
    return messages
  }

  async function receiveOne(): Promise<Message> {
    return (await receive(1))[0]!
  }

  /** The messages that are ready now. */
  const peek = (from = topic) => queue.receive(from, { max: 10, waitMs: 0 })

  /** Starts to wait for messages; `isOver` says whether the wait has ended. */
  function waiting(waitMs: number, signal?: AbortSignal) {
    const wait = { isOver: false, messages: queue.receive(topic, { max: 10, waitMs, ...(signal && { signal }) }) }
    const end = () => {
      wait.isOver = true
    }
    wait.messages.then(end, end)
    return wait
  }

  describe(name, () => {
    beforeEach(async () => {
      setup = await make()
      queue = setup.queue
      topic = await setup.topic()
    }, timeout)
    afterEach(() => setup.close(), timeout)

    describe('sending and receiving', () => {
      test('delivers a message as it was sent', async () => {
        const body = '{"text":"Zürich 🏦 \\u0000 \u0001 line\\n"}\n\ttab'
        await queue.send(topic, [{ body, group: 'demo' }])
        const message = await receiveOne()
        expect(message).toEqual({
          id: expect.any(String),
          body,
          receipt: expect.any(String),
          attempt: 1,
          ...(groups && { group: groups === true ? 'demo' : groups }),
        })
      })

      test('delivers a message without a group without one', async () => {
        await queue.send(topic, [{ body: 'x' }])
        expect((await receiveOne()).group).toBe(typeof groups === 'string' ? groups : undefined)
      })

      test('delivers a batch of any size completely, and never more messages than requested', async () => {
        const bodies = Array.from({ length: 25 }, (_, number) => `message ${number}`)
        await queue.send(
          topic,
          bodies.map(body => ({ body })),
        )
        const first = await queue.receive(topic, { max: 3, waitMs: 5_000 })
        expect(first.length).toBeGreaterThanOrEqual(1)
        expect(first.length).toBeLessThanOrEqual(3)
        const messages = [...first, ...(await receive(25 - first.length))]
        expect(messages.map(({ body }) => body).sort()).toEqual(bodies.sort())
        expect(new Set(messages.map(({ id }) => id)).size).toBe(25)
        expect(new Set(messages.map(({ receipt }) => receipt)).size).toBe(25)
        await expect(queue.send(topic, [])).resolves.toBeUndefined()
      })

      test('refuses a body of more than 256 KiB of UTF-8', async () => {
        const body = 'ü'.repeat(128 * 1024)
        await queue.send(topic, [{ body }, { body }])
        expect((await receive(2)).map(message => message.body === body)).toEqual([true, true])
        await expect(queue.send(topic, [{ body: `${body}!` }])).rejects.toThrow()
        expect(await peek()).toEqual([])
      })

      test('delivers a message to its own topic only', async () => {
        const other = await setup.topic()
        await queue.send(other, [{ body: 'for the other' }])
        expect(await peek()).toEqual([])
        expect(await receive(1, other)).toMatchObject([{ body: 'for the other' }])
      })

      if (delays)
        test('delivers a delayed message after its delay', async () => {
          await queue.send(topic, [{ body: 'later', delayMs: 3_000 }, { body: 'now' }])
          expect(await receiveOne()).toMatchObject({ body: 'now' })
          const { messages } = waiting(10_000)
          await setup.advance(2_000)
          expect(await peek()).toEqual([])
          await setup.advance(1_100)
          expect(await messages).toMatchObject([{ body: 'later', attempt: 1 }])
        })
    })

    describe('waiting', () => {
      test('hands each message to one of the waiting receivers', async () => {
        const waits = [1, 2].map(() => queue.receive(topic, { max: 1, waitMs: 20_000 }))
        await queue.send(topic, [{ body: 'a' }, { body: 'b' }])
        const messages = (await Promise.all(waits)).flat()
        expect(messages.map(({ body }) => body).sort()).toEqual(['a', 'b'])
      })

      test('ends a wait without messages when its time is over', async () => {
        const wait = waiting(2_000)
        await setup.advance(1_000)
        expect(wait.isOver).toBe(false)
        await setup.advance(1_100)
        expect(await wait.messages).toEqual([])
      })

      test('returns at once without messages if it does not wait', async () => {
        expect(await peek()).toEqual([])
      })

      test('ends an aborted wait without messages, and takes none from the queue', async () => {
        const abort = new AbortController()
        const { messages } = waiting(20_000, abort.signal)
        await setup.advance(10)
        abort.abort()
        expect(await messages).toEqual([])
        await queue.send(topic, [{ body: 'x' }])
        expect(await waiting(20_000, abort.signal).messages).toEqual([])
        expect(await receiveOne()).toMatchObject({ body: 'x' })
      })

      test('ends every wait without messages on close', async () => {
        const waits = [waiting(20_000), waiting(20_000)]
        await setup.advance(10)
        await queue.close()
        expect(await Promise.all(waits.map(wait => wait.messages))).toEqual([[], []])
      })
    })

    describe('redelivery', () => {
      test('redelivers a message that is not acked within 30 s, with a new receipt', async () => {
        await queue.send(topic, [{ body: 'acked' }, { body: 'kept' }])
        const first = await receive(2)
        const unacked = first.find(({ body }) => body === 'kept')!
        await queue.ack(
          topic,
          first.filter(message => message !== unacked).map(({ receipt }) => receipt),
        )
        await setup.advance(28_000)
        expect(await peek()).toEqual([])
        await setup.advance(3_000)
        const again = await receiveOne()
        expect(again).toMatchObject({ id: unacked.id, body: 'kept', attempt: 2 })
        expect(again.receipt).not.toBe(unacked.receipt)
        await queue.ack(topic, [unacked.receipt]) // an earlier delivery's receipt must have no effect
        await queue.release(topic, [again.receipt])
        expect(await receiveOne()).toMatchObject({ id: unacked.id, attempt: 3 })
      })

      test('ignores unknown receipts', async () => {
        await queue.send(topic, [{ body: 'x' }])
        const { receipt } = await receiveOne()
        await queue.ack(topic, ['unknown', receipt, receipt])
        await queue.release(topic, ['unknown', receipt])
        await queue.extend(topic, receipt, 1_000)
        expect(await peek()).toEqual([])
      })

      test('redelivers a released message at once, or after a delay', async () => {
        await queue.send(topic, [{ body: 'x' }])
        await queue.release(topic, [(await receiveOne()).receipt])
        const second = await receiveOne()
        expect(second.attempt).toBe(2)
        await queue.release(topic, [second.receipt], 3_000)
        await setup.advance(2_000)
        expect(await peek()).toEqual([])
        await setup.advance(1_100)
        expect(await receiveOne()).toMatchObject({ id: second.id, attempt: 3 })
      })

      test('hands a released message to a waiting receiver', async () => {
        await queue.send(topic, [{ body: 'x' }])
        const { receipt } = await receiveOne()
        const { messages } = waiting(20_000)
        await setup.advance(10)
        await queue.release(topic, [receipt])
        expect(await messages).toMatchObject([{ body: 'x', attempt: 2 }])
      })

      test('accepts an ack after extend', async () => {
        await queue.send(topic, [{ body: 'x' }])
        const { receipt } = await receiveOne()
        await queue.extend(topic, receipt, 60_000)
        await queue.ack(topic, [receipt])
        expect(await peek()).toEqual([])
      })

      if (extend)
        test('hides an extended delivery for the requested time from now on', async () => {
          await queue.send(topic, [{ body: 'long' }, { body: 'short' }])
          const messages = await receive(2)
          const receipt = (body: string) => messages.find(message => message.body === body)!.receipt
          await setup.advance(1_000)
          await queue.extend(topic, receipt('long'), 33_000)
          await queue.extend(topic, receipt('short'), 2_000)
          await setup.advance(2_100)
          const short = await receiveOne()
          expect(short.body).toBe('short')
          await queue.ack(topic, [short.receipt])
          await setup.advance(29_000) // 32.1 s after the receive
          expect(await peek()).toEqual([])
          await setup.advance(3_000)
          expect(await receiveOne()).toMatchObject({ body: 'long', attempt: 2 })
        })
    })

    if (fair)
      test('takes turns between groups, so that none delays another', async () => {
        const many = Array.from({ length: 300 }, () => ({ body: 'many', group: 'a' }))
        await queue.send(topic, many)
        await queue.send(topic, [{ body: 'few', group: 'b' }, { body: 'few', group: 'c' }, { body: 'few' }])
        const first = await receive(10)
        expect(first.filter(({ body }) => body === 'few').length).toBe(3)
      })

    if (backlog)
      test('reports how many messages wait', async () => {
        expect(await queue.backlog?.(topic)).toBe(0)
        await queue.send(topic, [{ body: 'a' }, { body: 'b' }, { body: 'later', delayMs: 60_000 }])
        expect(await queue.backlog?.(topic)).toBe(2)
        await receive(2)
        expect(await queue.backlog?.(topic)).toBe(0)
        expect(await queue.backlog?.('unheard-of')).toBe(0)
      })

    describe('topics', () => {
      test('refuses to send to or receive from an undeclared topic', async () => {
        const other = await setup.topic()
        await setup.remove(other)
        await setup.remove(other)
        await expect(queue.send(other, [{ body: 'x' }])).rejects.toThrow(NoSuchTopic)
        await expect(peek(other)).rejects.toThrow(NoSuchTopic)
      })

      test('keeps the messages of a topic that is declared again', async () => {
        await queue.send(topic, [{ body: 'x' }])
        await setup.declare(topic)
        expect(await receiveOne()).toMatchObject({ body: 'x' })
      })

      test('ends the waits for a topic that is removed', async () => {
        const waits = [waiting(20_000), waiting(20_000)]
        await setup.advance(10)
        await setup.remove(topic)
        for (const { messages } of waits) await expect(messages).rejects.toThrow(NoSuchTopic)
      })
    })
  })
}
