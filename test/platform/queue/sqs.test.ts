import { randomUUID } from 'node:crypto'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals'
import fc from 'fast-check'
import { type FauxqsServer, startFauxqs } from 'fauxqs'
import { NoSuchTopic } from '../../../lib/platform/queue/queue.ts'
import { type SqsQueue, sqsQueue } from '../../../lib/platform/queue/sqs.ts'
import { batches, packed, unpacked } from '../../../lib/platform/queue/sqs-body.ts'
import { queueCases } from '../../cases/queue.ts'
import { realClock } from '../../kit/virtual-clock.ts'

/** What hides messages goes by the date, which is moved on; what waits goes by timers, which are left alone. */
const TIMERS = ['hrtime', 'nextTick', 'performance', 'queueMicrotask', 'setImmediate', 'clearImmediate'] as const
const MORE_TIMERS = ['setInterval', 'clearInterval', 'setTimeout', 'clearTimeout'] as const
/** In which the server sees the new date. */
const LOOK_MS = 100

let server: FauxqsServer
beforeAll(async () => {
  server = await startFauxqs({ port: 0, logger: false, host: '127.0.0.1' })
})
beforeEach(() => {
  jest.useFakeTimers({ doNotFake: [...TIMERS, ...MORE_TIMERS], now: Date.now() })
})
afterEach(() => {
  jest.useRealTimers()
})
afterAll(() => server.stop())

function setUp(): SqsQueue {
  const credentials = async () => ({ accessKeyId: 'test', secretAccessKey: 'test' })
  const connection = { region: 'us-east-1', endpoint: `http://127.0.0.1:${server.port}`, credentials }
  return sqsQueue({ clock: realClock, connection, prefix: 'test-' })
}

async function advance(ms: number): Promise<void> {
  await realClock.sleep(LOOK_MS)
  jest.setSystemTime(Date.now() + ms)
  await realClock.sleep(LOOK_MS)
}

queueCases(
  'SQS queue on fauxqs',
  async () => {
    const queue = setUp()
    const topic = async () => {
      const topic = randomUUID()
      await queue.declare(topic)
      return topic
    }
    const { declare, remove, close } = queue
    return { queue, topic, declare, remove, close, advance }
  },
  // The emulator knows groups for FIFO queues only.
  { timeout: 60_000, fair: false, groups: false },
)

describe('SQS queue of its own', () => {
  let queue: SqsQueue
  beforeEach(() => {
    queue = setUp()
  })
  afterEach(() => queue.close())

  const sent = (topic: string) => server.inspectQueue(`test-${topic}`)!

  it('names queues by stage and topic, and keeps their messages for 14 days', async () => {
    await queue.declare('guest-1-2')
    const address = await queue.address('guest-1-2')
    expect(address).toMatch(/\/test-guest-1-2$/)
    expect(sent('guest-1-2').attributes).toMatchObject({ VisibilityTimeout: '30', MessageRetentionPeriod: '1209600' })
    await expect(queue.declare('x'.repeat(76))).rejects.toThrow(RangeError)
    for (const bad of ['', 'a b', 'a/b', 'a\n', 'a.fifo']) await expect(queue.declare(bad)).rejects.toThrow(RangeError)
  })

  it('leaves a queue alone that was deployed with other attributes', async () => {
    server.createQueue('test-deployed', { attributes: { VisibilityTimeout: '180' } })
    await queue.declare('deployed')
    expect(sent('deployed').attributes).toMatchObject({ VisibilityTimeout: '180' })
    await queue.send('deployed', [{ body: 'x' }])
    expect(await queue.receive('deployed', { max: 1, waitMs: 0 })).toMatchObject([{ body: 'x' }])
  })

  it('refuses a delay that SQS cannot keep, and takes nothing then', async () => {
    await queue.declare('delays')
    const batch = [{ body: 'x' }, { body: 'y', delayMs: 900_001 }]
    await expect(queue.send('delays', batch)).rejects.toThrow(RangeError)
    await queue.send('delays', [{ body: 'z', delayMs: 900_000 }])
    const { ready, delayed } = sent('delays').messages
    expect([ready.length, delayed.length]).toEqual([0, 1])
  })

  it('asks for nothing where addresses were given', async () => {
    await queue.declare('given')
    const urls = { mine: await queue.address('given') }
    const credentials = async () => ({ accessKeyId: 'test', secretAccessKey: 'test' })
    const connection = { region: 'us-east-1', endpoint: `http://127.0.0.1:${server.port}`, credentials }
    const agent = sqsQueue({ clock: realClock, connection, prefix: '', urls })
    await agent.send('mine', [{ body: 'x' }])
    expect(await agent.receive('mine', { max: 1, waitMs: 0 })).toMatchObject([{ body: 'x' }])
    await queue.remove('given')
    await expect(agent.send('mine', [{ body: 'x' }])).rejects.toThrow(NoSuchTopic)
    await expect(agent.send('mine', [{ body: 'x' }])).rejects.toThrow(NoSuchTopic)
    await agent.close()
  })

  it('finds a topic again that another process removed and made', async () => {
    await queue.declare('again')
    await queue.send('again', [{ body: 'x' }])
    jest.setSystemTime(Date.now() + 10_000)
    server.deleteQueue('test-again')
    await expect(queue.send('again', [{ body: 'x' }])).rejects.toThrow(NoSuchTopic)
    server.createQueue('test-again')
    await queue.send('again', [{ body: 'y' }])
    expect(await queue.receive('again', { max: 1, waitMs: 0 })).toMatchObject([{ body: 'y' }])
  })

  it('waits for a queue that is not usable yet', async () => {
    await queue.declare('new')
    const url = await queue.address('new')
    server.deleteQueue('test-new')
    const sending = queue.send('new', [{ body: 'x' }])
    server.createQueue('test-new')
    expect(await queue.address('new')).toBe(url)
    await sending
  })

  it('takes 1 to 10 as a count, and no calls after close', async () => {
    await queue.declare('count')
    for (const max of [0, 11, Number.NaN])
      await expect(queue.receive('count', { max, waitMs: 0 })).rejects.toThrow(RangeError)
    await queue.close()
    await expect(queue.receive('count', { max: 1, waitMs: 0 })).rejects.toThrow('closed')
    await expect(queue.send('count', [])).rejects.toThrow('closed')
  })
})

describe('bodies for SQS', () => {
  // What SQS takes: #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF, and one character at least.
  const taken = /^[\t\n\r\u{20}-\u{d7ff}\u{e000}-\u{fffd}\u{10000}-\u{10ffff}]+$/u

  it('have only characters that SQS takes, and come back', () => {
    for (const text of ['', '{"a":1}', '\0', 'a\ufffe', '\uffff', '\u001f', 'base64:eA==', 'Zürich 🏦\t\r\n\u007f']) {
      expect(packed(text)).toMatch(taken)
      expect(unpacked(packed(text))).toBe(text)
    }
    expect(packed('{"a":"ü"}')).toBe('{"a":"ü"}')
  })

  it('any text comes back', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), text => unpacked(packed(text)) === text && taken.test(packed(text))),
    )
  })

  it('come in batches of ten and of 256 KiB, in order', () => {
    const of = (count: number, size: number) =>
      batches(
        Array.from({ length: count }, () => size),
        each => each,
      )
    expect(of(25, 1).map(({ length }) => length)).toEqual([10, 10, 5])
    expect(of(5, 100_000).map(({ length }) => length)).toEqual([2, 2, 1])
    expect(of(2, 300_000).map(({ length }) => length)).toEqual([1, 1])
    expect(of(0, 1)).toEqual([])
    const entries = Array.from({ length: 30 }, (_, index) => index)
    expect(batches(entries, () => 30_000).flat()).toEqual(entries)
  })
})
