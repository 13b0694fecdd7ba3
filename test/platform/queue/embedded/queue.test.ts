import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { embeddedQueue } from '../../../../lib/platform/queue/embedded/queue.ts'
import { NoSuchTopic } from '../../../../lib/ports/queue.ts'
import { queueCases } from '../../../cases/queue.ts'
import { seededRandom } from '../../../kit/random.ts'
import { virtualClock } from '../../../kit/virtual-clock.ts'

function setUp() {
  const clock = virtualClock()
  return { clock, queue: embeddedQueue({ clock, random: seededRandom(1) }) }
}

const embedded = async () => {
  const { clock, queue } = setUp()
  let count = 0
  const topic = async () => {
    await queue.declare(`topic-${++count}`)
    return `topic-${count}`
  }
  return { queue, topic, declare: queue.declare, remove: queue.remove, advance: clock.advance, close: queue.close }
}
queueCases('the embedded queue', embedded, { backlog: true })

const AT_ONCE = { max: 10, waitMs: 0 }

describe('the embedded queue in particular', () => {
  it('reports its topics and their depth', async () => {
    const { clock, queue } = setUp()
    await queue.declare('t')
    await queue.send('t', [{ body: 'a' }, { body: 'b' }, { body: 'c' }, { body: 'later', delayMs: 1_000 }])
    const [first] = await queue.receive('t', { max: 1, waitMs: 0 })
    expect(queue.depth('t')).toEqual({ ready: 2, inFlight: 1 })
    await queue.ack('t', [first!.receipt])
    await clock.advance(1_000)
    expect(queue.depth('t')).toEqual({ ready: 3, inFlight: 0 })
    const [second] = await queue.receive('t', { max: 1, waitMs: 0 })
    await clock.advance(30_000)
    expect(queue.depth('t')).toEqual({ ready: 3, inFlight: 0 })
    await queue.receive('t', AT_ONCE)
    await queue.ack('t', [second!.receipt])
    expect(queue.depth('t')).toEqual({ ready: 0, inFlight: 3 })
    expect(queue.topics()).toEqual(['t'])
    expect(queue.depth('u')).toBeUndefined()
  })

  it('accepts 1 to 80 of [A-Za-z0-9_-] as a topic and 1 to 10 as a count', async () => {
    const { queue } = setUp()
    const good = `guest-01_Z${'x'.repeat(70)}`
    await queue.declare(good)
    expect(queue.topics()).toEqual([good])
    for (const bad of ['', `${good}x`, 'a b', 'a/b', 'ü', 'a\n'])
      await expect(queue.declare(bad)).rejects.toThrow(RangeError)
    for (const max of [0, 11, Number.NaN])
      await expect(queue.receive(good, { max, waitMs: 0 })).rejects.toThrow(RangeError)
  })

  it('refuses a whole batch if one body is too long', async () => {
    const { queue } = setUp()
    await queue.declare('t')
    const batch = [{ body: 'x' }, { body: 'x'.repeat(256 * 1024 + 1) }]
    await expect(queue.send('t', batch)).rejects.toThrow(RangeError)
    expect(queue.depth('t')).toEqual({ ready: 0, inFlight: 0 })
  })

  it('forgets the messages of a removed topic', async () => {
    const { clock, queue } = setUp()
    await queue.declare('t')
    await queue.send('t', [{ body: 'x' }, { body: 'y', delayMs: 10 }])
    await queue.remove('t')
    await expect(queue.ack('t', ['x'])).rejects.toThrow(NoSuchTopic)
    await queue.declare('t')
    await clock.advance(100)
    expect(await queue.receive('t', AT_ONCE)).toEqual([])
  })

  it('hands over a message at once, by no timer', async () => {
    const { queue } = setUp()
    await queue.declare('t')
    const wait = queue.receive('t', { max: 10, waitMs: 20_000 })
    await queue.send('t', [{ body: 'a' }, { body: 'b' }])
    expect((await wait).map(({ body }) => body)).toEqual(['a', 'b'])
  })

  it('takes turns between groups, so that 10,000 messages of one do not delay another', async () => {
    const { queue } = setUp()
    await queue.declare('t')
    await queue.send(
      't',
      Array.from({ length: 10_000 }, () => ({ body: 'many', group: 'a' })),
    )
    await queue.send('t', [
      { body: 'b1', group: 'b' },
      { body: 'b2', group: 'b' },
    ])
    const bodies = (await queue.receive('t', AT_ONCE)).map(({ body }) => body)
    expect(bodies.slice(0, 4)).toEqual(['many', 'b1', 'many', 'b2'])
  })

  it('refuses calls after close', async () => {
    const { queue } = setUp()
    await queue.declare('t')
    await queue.close()
    await queue.close()
    await expect(queue.receive('t', AT_ONCE)).rejects.toThrow('closed')
    await expect(queue.send('t', [])).rejects.toThrow('closed')
  })

  it('redelivers each message at its time, whatever else is acked, extended or released', async () => {
    const op = fc.constantFrom('ack', 'extend', 'release', 'leave')
    const act = fc.record({ op, ms: fc.integer({ min: 1, max: 60_000 }) })
    await fc.assert(fc.asyncProperty(fc.array(act, { maxLength: 40 }), checkRedelivery), { numRuns: 50 })
  })
})

interface Act {
  op: string
  ms: number
}

/** Acks, extends, releases or leaves each of many messages; then records which are redelivered, and when. */
async function checkRedelivery(acts: Act[]): Promise<void> {
  const { clock, queue } = setUp()
  const start = clock.now()
  await queue.declare('t')
  await queue.send(
    't',
    Array.from(acts.keys(), index => ({ body: String(index) })),
  )
  for (let count = 0; count < acts.length; ) {
    for (const { body, receipt } of await queue.receive('t', AT_ONCE)) {
      const { op, ms } = acts[Number(body)]!
      if (op === 'ack') await queue.ack('t', [receipt])
      if (op === 'extend') await queue.extend('t', receipt, ms)
      if (op === 'release') await queue.release('t', [receipt], ms)
      count++
    }
  }
  const expected = acts.flatMap(({ op, ms }, index) =>
    op === 'ack' ? [] : [`${op === 'leave' ? 30_000 : ms} ${index}`],
  )
  const redelivered: string[] = []
  const recording = (async () => {
    while (redelivered.length < expected.length) {
      for (const { body, receipt } of await queue.receive('t', { max: 10, waitMs: 100_000 })) {
        redelivered.push(`${clock.now() - start} ${body}`)
        await queue.ack('t', [receipt])
      }
    }
  })()
  await clock.advance(60_000)
  await recording
  expect(redelivered.sort()).toEqual(expected.sort())
  await queue.close()
}
