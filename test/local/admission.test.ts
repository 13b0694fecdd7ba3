import { setImmediate as turnOfLoop } from 'node:timers/promises'
import { describe, expect, it } from '@jest/globals'
import { type AdmissionOptions, admission, owners } from '../../local/admission.ts'
import { virtualClock } from '../kit/virtual-clock.ts'

function setUp(more: Partial<AdmissionOptions> = {}) {
  const clock = virtualClock()
  const gate = admission({ clock, width: 4, placeMs: 50, most: 20_000, crowd: 20_000, ...more })
  const order: string[] = []
  /** Work that ends in the next turn of the loop. */
  const brief = (key: string) =>
    gate.run(key, async () => {
      order.push(key)
      await Promise.resolve()
    })
  return { clock, gate, order, brief }
}

describe('admission', () => {
  it('serves a project after a handful of the 10,000 requests that another has queued', async () => {
    const { order, brief } = setUp()
    const flood = Array.from({ length: 10_000 }, () => brief('flood'))
    const few = [brief('few'), brief('few'), brief('few')]
    await Promise.all(few)
    // The first finds four places taken and the queue's front next; then both take turns.
    expect(order.indexOf('few')).toBeLessThanOrEqual(5)
    expect(order.lastIndexOf('few')).toBeLessThanOrEqual(5 + 2 * 2)
    await Promise.all(flood)
    expect(order).toHaveLength(10_003)
  })

  it('never gives more places than it has, and each key its requests in order', async () => {
    const { clock, gate } = setUp()
    let running = 0
    let most = 0
    const seen: number[] = []
    const all = Array.from({ length: 100 }, (_, index) =>
      gate.run('a', async () => {
        most = Math.max(most, ++running)
        seen.push(index)
        await clock.sleep(10)
        running--
      }),
    )
    await clock.advance(1_000)
    await Promise.all(all)
    expect(most).toBe(4)
    expect(seen).toEqual([...seen].sort((a, b) => a - b))
    expect(gate.depth()).toEqual({ waiting: 0, running: 0 })
  })

  it('takes the place of work that waits for long, so that it holds up nobody', async () => {
    const { clock, gate, order, brief } = setUp()
    const slow = Array.from({ length: 4 }, () => gate.run('slow', () => clock.sleep(15_000)))
    const other = brief('other')
    await clock.advance(49)
    expect(order).toEqual([])
    await clock.advance(1)
    await other
    // Only as many give theirs up as are asked for.
    expect(gate.depth()).toEqual({ waiting: 0, running: 3 })
    await clock.advance(15_000)
    await Promise.all(slow)
    expect(gate.depth()).toEqual({ waiting: 0, running: 0 })
  })

  it('lets the loop turn between what it lets in, so that what arrives is read', async () => {
    const { order, brief } = setUp()
    const flood = Array.from({ length: 1_000 }, () => brief('flood'))
    for (let turns = 0; turns < 3; turns++) await turnOfLoop()
    expect(order.length).toBeLessThanOrEqual(4 * 5)
    await Promise.all(flood)
  })

  it('has room for one more of a key that crowds with each that goes, and for all once nothing waits', async () => {
    const { gate } = setUp({ width: 1, crowd: 3 })
    const ends: (() => void)[] = []
    const long = () => gate.run('a', () => new Promise<void>(resolve => ends.push(resolve)))
    const went: number[] = []
    const work = [long(), long(), long()]
    // One has a place, two wait.
    expect([gate.room('a'), gate.room('b')]).toEqual([undefined, undefined])
    work.push(long())
    const holders = [0, 1, 2, 3].map(async holder => {
      await gate.room('a')
      went.push(holder)
    })
    async function oneEnds(): Promise<void> {
      const begun = ends.length
      ends.at(-1)?.()
      while (ends.length === begun) await turnOfLoop()
    }
    await oneEnds()
    expect([went, gate.depth().waiting]).toEqual([[0], 2])
    await oneEnds()
    expect([went, gate.depth().waiting]).toEqual([[0, 1], 1])
    await oneEnds()
    expect([went, gate.depth().waiting]).toEqual([[0, 1, 2, 3], 0])
    ends.at(-1)?.()
    await Promise.all([...work, ...holders])
  })

  it('gives a key that crowds half of the places, and the others to whoever comes', async () => {
    const { gate, order, brief } = setUp({ width: 4, crowd: 2 })
    let end = () => {}
    const long = new Promise<void>(resolve => {
      end = resolve
    })
    const first = Array.from({ length: 4 }, () => gate.run('a', () => Promise.resolve()))
    const flood = Array.from({ length: 6 }, () => gate.run('a', () => long))
    const holder = gate.room('a')
    await Promise.all(first)
    for (let turns = 0; turns < 5; turns++) await turnOfLoop()
    expect(gate.depth()).toEqual({ waiting: 4, running: 2 })
    await brief('b')
    expect([order, gate.depth()]).toEqual([['b'], { waiting: 4, running: 2 }])
    end()
    await Promise.all([...flood, holder])
  })

  it('gives a place back when the work fails', async () => {
    const { gate, brief } = setUp({ width: 1 })
    await expect(gate.run('a', () => Promise.reject(new Error('no')))).rejects.toThrow('no')
    await brief('a')
    expect(gate.depth()).toEqual({ waiting: 0, running: 0 })
  })

  it('refuses what is too much of one key with 503, and goes on with others', async () => {
    const { gate, brief } = setUp({ width: 1, most: 2 })
    const running = [brief('a'), brief('a'), brief('a')]
    await expect(brief('a')).rejects.toMatchObject({ status: 503 })
    await Promise.all([...running, brief('b')])
    expect(gate.depth()).toEqual({ waiting: 0, running: 0 })
  })
})

describe('owners', () => {
  it('remember the tokens seen last', () => {
    const known = owners()
    known.learn('first', 'demo')
    expect([known.of('first'), known.of('other'), known.of(undefined)]).toEqual(['demo', undefined, undefined])
    for (let index = 0; index < 1_999; index++) known.learn(`t${index}`, 'alt')
    expect(known.of('first')).toBe('demo')
    known.learn('last', 'alt')
    expect(known.of('first')).toBeUndefined()
  })
})
