import { randomUUID } from 'node:crypto'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals'
import { type FauxqsServer, startFauxqs } from 'fauxqs'
import { type SqsQueue, sqsQueue } from '../../../../lib/platform/queue/sqs/queue.ts'
import { NoSuchTopic } from '../../../../lib/ports/queue.ts'
import { queueCases } from '../../../cases/queue.ts'
import { realClock } from '../../../kit/virtual-clock.ts'

/** Messages are hidden by the date, which the tests move on; waits use timers, which are real. */
const TIMERS = ['hrtime', 'nextTick', 'performance', 'queueMicrotask', 'setImmediate', 'clearImmediate'] as const
const MORE_TIMERS = ['setInterval', 'clearInterval', 'setTimeout', 'clearTimeout'] as const
/** By then the server has noticed the new date. */
const POLL_MS = 100

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
  await realClock.sleep(POLL_MS)
  jest.setSystemTime(Date.now() + ms)
  await realClock.sleep(POLL_MS)
}

queueCases(
  'the SQS queue on fauxqs',
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
  // The emulator supports groups for FIFO queues only.
  { timeout: 60_000, fair: false, groups: false },
)

describe('the SQS queue in particular', () => {
  let queue: SqsQueue
  beforeEach(() => {
    queue = setUp()
  })
  afterEach(() => queue.close())

  const inspect = (topic: string) => server.inspectQueue(`test-${topic}`)!

  it('names queues by stage and topic, and keeps their messages for 14 days', async () => {
    await queue.declare('guest-1-2')
    const address = await queue.address('guest-1-2')
    expect(address).toMatch(/\/test-guest-1-2$/)
    expect(inspect('guest-1-2').attributes).toMatchObject({
      VisibilityTimeout: '30',
      MessageRetentionPeriod: '1209600',
    })
    await expect(queue.declare('x'.repeat(76))).rejects.toThrow(RangeError)
    for (const bad of ['', 'a b', 'a/b', 'a\n', 'a.fifo']) await expect(queue.declare(bad)).rejects.toThrow(RangeError)
  })

  it('does not change a queue that was deployed with other attributes', async () => {
    server.createQueue('test-deployed', { attributes: { VisibilityTimeout: '180' } })
    await queue.declare('deployed')
    expect(inspect('deployed').attributes).toMatchObject({ VisibilityTimeout: '180' })
    await queue.send('deployed', [{ body: 'x' }])
    expect(await queue.receive('deployed', { max: 1, waitMs: 0 })).toMatchObject([{ body: 'x' }])
  })

  it('refuses a batch with a delay that SQS does not support', async () => {
    await queue.declare('delays')
    const batch = [{ body: 'x' }, { body: 'y', delayMs: 900_001 }]
    await expect(queue.send('delays', batch)).rejects.toThrow(RangeError)
    await queue.send('delays', [{ body: 'z', delayMs: 900_000 }])
    const { ready, delayed } = inspect('delays').messages
    expect([ready.length, delayed.length]).toEqual([0, 1])
  })

  it('looks up no address that was given', async () => {
    await queue.declare('given')
    const urls = { given: await queue.address('given') }
    const credentials = async () => ({ accessKeyId: 'test', secretAccessKey: 'test' })
    const connection = { region: 'us-east-1', endpoint: `http://127.0.0.1:${server.port}`, credentials }
    const agent = sqsQueue({ clock: realClock, connection, prefix: '', urls })
    await agent.send('given', [{ body: 'x' }])
    expect(await agent.receive('given', { max: 1, waitMs: 0 })).toMatchObject([{ body: 'x' }])
    await queue.remove('given')
    await expect(agent.send('given', [{ body: 'x' }])).rejects.toThrow(NoSuchTopic)
    await expect(agent.send('given', [{ body: 'x' }])).rejects.toThrow(NoSuchTopic)
    await agent.close()
  })

  it('finds a topic again that another process removed and created', async () => {
    await queue.declare('again')
    await queue.send('again', [{ body: 'x' }])
    jest.setSystemTime(Date.now() + 10_000)
    server.deleteQueue('test-again')
    await expect(queue.send('again', [{ body: 'x' }])).rejects.toThrow(NoSuchTopic)
    server.createQueue('test-again')
    await queue.send('again', [{ body: 'y' }])
    expect(await queue.receive('again', { max: 1, waitMs: 0 })).toMatchObject([{ body: 'y' }])
  })

  it('waits until a new queue is usable', async () => {
    await queue.declare('new')
    const url = await queue.address('new')
    server.deleteQueue('test-new')
    const sending = queue.send('new', [{ body: 'x' }])
    server.createQueue('test-new')
    expect(await queue.address('new')).toBe(url)
    await sending
  })

  it('accepts 1 to 10 as a count, and no calls after close', async () => {
    await queue.declare('count')
    for (const max of [0, 11, Number.NaN])
      await expect(queue.receive('count', { max, waitMs: 0 })).rejects.toThrow(RangeError)
    await queue.close()
    await expect(queue.receive('count', { max: 1, waitMs: 0 })).rejects.toThrow('closed')
    await expect(queue.send('count', [])).rejects.toThrow('closed')
  })
})
