import { setImmediate as nextLoopTurn } from 'node:timers/promises'
import { describe, expect, it } from '@jest/globals'
import { FairQueue, type FairQueueOptions } from '../../../local/gateway/fair-queue.ts'
import { virtualClock } from '../../kit/virtual-clock.ts'

function setUp(options: Partial<FairQueueOptions> = {}) {
  const clock = virtualClock()
  const queue = new FairQueue({ clock, width: 4, placeMs: 50, maxWaiting: 20_000, backlogLimit: 20_000, ...options })
  const order: string[] = []
  /** Runs work that ends at once. */
  const brief = (key: string) =>
    queue.run(key, async () => {
      order.push(key)
      await Promise.resolve()
    })
  return { clock, queue, order, brief }
}

describe('the fair queue', () => {
  it('serves a project after at most five of the 10,000 requests that another has queued', async () => {
    const { order, brief } = setUp()
    const flood = Array.from({ length: 10_000 }, () => brief('flood'))
    const few = [brief('few'), brief('few'), brief('few')]
    await Promise.all(few)
    // Four requests of the flood run, and one more is first in turn; then both projects alternate.
    expect(order.indexOf('few')).toBeLessThanOrEqual(5)
    expect(order.lastIndexOf('few')).toBeLessThanOrEqual(5 + 2 * 2)
    await Promise.all(flood)
    expect(order).toHaveLength(10_003)
  })

  it('never runs more requests than it has places, and those of a key in order', async () => {
    const { clock, queue } = setUp()
    let running = 0
    let max = 0
    const started: number[] = []
    const all = Array.from({ length: 100 }, (_, index) =>
      queue.run('a', async () => {
        max = Math.max(max, ++running)
        started.push(index)
        await clock.sleep(10)
        running--
      }),
    )
    await clock.advance(1_000)
    await Promise.all(all)
    expect(max).toBe(4)
    expect(started).toEqual([...started].sort((a, b) => a - b))
    expect(queue.depth()).toEqual({ waiting: 0, running: 0 })
  })

  it('gives the place of a request that says that it waits to the next one, once', async () => {
    const { clock, queue, order, brief } = setUp({ width: 1 })
    const slow = queue.run('slow', async () => {
      queue.leave()
      queue.leave()
      await clock.sleep(40)
      order.push('slow')
    })
    await Promise.all([brief('other'), brief('other')])
    await clock.advance(40)
    await slow
    expect([order, queue.depth()]).toEqual([['other', 'other', 'slow'], { waiting: 0, running: 0 }])
    // Whoever has no place has none to leave.
    queue.leave()
  })

  it('gives the place of a request that runs too long to the next one', async () => {
    const { clock, queue, order, brief } = setUp()
    const slow = Array.from({ length: 4 }, () => queue.run('slow', () => clock.sleep(15_000)))
    const other = brief('other')
    await clock.advance(49)
    expect(order).toEqual([])
    await clock.advance(1)
    await other
    // Only as many places are taken away as are needed.
    expect(queue.depth()).toEqual({ waiting: 0, running: 3 })
    await clock.advance(15_000)
    await Promise.all(slow)
    expect(queue.depth()).toEqual({ waiting: 0, running: 0 })
  })

  it('admits requests in separate turns of the event loop, so that new connections are read', async () => {
    const { order, brief } = setUp()
    const flood = Array.from({ length: 1_000 }, () => brief('flood'))
    for (let turns = 0; turns < 3; turns++) await nextLoopTurn()
    expect(order.length).toBeLessThanOrEqual(4 * 5)
    await Promise.all(flood)
  })

  it('resumes one paused connection for each request that starts, and all once nothing waits', async () => {
    const { queue } = setUp({ width: 1, backlogLimit: 3 })
    const ends: (() => void)[] = []
    const long = () => queue.run('a', () => new Promise<void>(resolve => ends.push(resolve)))
    const resumed: number[] = []
    const work = [long(), long(), long()]
    // One request runs, two wait.
    expect([queue.room('a'), queue.room('b')]).toEqual([undefined, undefined])
    work.push(long())
    const holders = [0, 1, 2, 3].map(async holder => {
      await queue.room('a')
      resumed.push(holder)
    })
    async function oneEnds(): Promise<void> {
      const count = ends.length
      ends.at(-1)?.()
      while (ends.length === count) await nextLoopTurn()
    }
    await oneEnds()
    expect([resumed, queue.depth().waiting]).toEqual([[0], 2])
    await oneEnds()
    expect([resumed, queue.depth().waiting]).toEqual([[0, 1], 1])
    await oneEnds()
    expect([resumed, queue.depth().waiting]).toEqual([[0, 1, 2, 3], 0])
    ends.at(-1)?.()
    await Promise.all([...work, ...holders])
  })

  it('gives a key with paused connections half of the places, and keeps the others free', async () => {
    const { queue, order, brief } = setUp({ width: 4, backlogLimit: 2 })
    let end = () => {}
    const long = new Promise<void>(resolve => {
      end = resolve
    })
    const first = Array.from({ length: 4 }, () => queue.run('a', () => Promise.resolve()))
    const flood = Array.from({ length: 6 }, () => queue.run('a', () => long))
    const holder = queue.room('a')
    await Promise.all(first)
    for (let turns = 0; turns < 5; turns++) await nextLoopTurn()
    expect(queue.depth()).toEqual({ waiting: 4, running: 2 })
    await brief('b')
    expect([order, queue.depth()]).toEqual([['b'], { waiting: 4, running: 2 }])
    end()
    await Promise.all([...flood, holder])
  })

  it('frees the place when the work fails', async () => {
    const { queue, brief } = setUp({ width: 1 })
    await expect(queue.run('a', () => Promise.reject(new Error('no')))).rejects.toThrow('no')
    await brief('a')
    expect(queue.depth()).toEqual({ waiting: 0, running: 0 })
  })

  it('refuses further requests of a key with too many waiting (503), and serves other keys', async () => {
    const { queue, brief } = setUp({ width: 1, maxWaiting: 2 })
    const running = [brief('a'), brief('a'), brief('a')]
    await expect(brief('a')).rejects.toMatchObject({ status: 503 })
    await Promise.all([...running, brief('b')])
    expect(queue.depth()).toEqual({ waiting: 0, running: 0 })
  })
})
