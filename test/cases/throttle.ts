import { describe, expect, it } from '@jest/globals'
import type { Throttle } from '../../lib/ports/throttle.ts'
import { type VirtualClock, virtualClock } from '../kit/virtual-clock.ts'

/** The suite of every throttle: Trove's leaky bucket (`trove/common/limits.py`). */
export function throttleCases(name: string, make: (clock: VirtualClock, perMinute: number) => Throttle): void {
  const setUp = (perMinute: number) => {
    const clock = virtualClock()
    return { clock, throttle: make(clock, perMinute) }
  }
  const times = async (count: number, take: () => Promise<{ waitMs: number }>) => {
    const waits: number[] = []
    for (let index = 0; index < count; index++) waits.push((await take()).waitMs)
    return waits
  }

  describe(name, () => {
    it.each([1, 3, 5, 7, 200])('admits exactly %d at once, whatever rounding does', async perMinute => {
      const { throttle } = setUp(perMinute)
      expect(throttle.perMinute).toBe(perMinute)
      const waits = await times(perMinute + 1, () => throttle.take('demo', 'GET'))
      expect(waits.slice(0, -1)).toEqual(Array(perMinute).fill(0))
      expect(waits.at(-1)).toBeCloseTo(60_000 / perMinute, 3)
    })

    it('admits the next request after the announced wait, and not before', async () => {
      const { clock, throttle } = setUp(5)
      await times(5, () => throttle.take('demo', 'GET'))
      await clock.advance(2_000)
      expect(await throttle.take('demo', 'GET')).toEqual({ waitMs: 10_000 })
      await clock.advance(9_999)
      expect(await throttle.take('demo', 'GET')).toEqual({ waitMs: 1 })
      await clock.advance(1)
      expect(await times(2, () => throttle.take('demo', 'GET'))).toEqual([0, 12_000])
    })

    it('does not count a refused request', async () => {
      const { throttle } = setUp(5)
      expect((await times(50, () => throttle.take('demo', 'GET'))).slice(5)).toEqual(Array(45).fill(12_000))
    })

    it('reports what is left without counting a request', async () => {
      const { clock, throttle } = setUp(5)
      const now = clock.now()
      expect(await throttle.look('demo', 'GET')).toEqual({ remaining: 5, next: now })
      await times(2, () => throttle.take('demo', 'GET'))
      expect(await throttle.look('demo', 'GET')).toEqual({ remaining: 3, next: now })
      await times(3, () => throttle.take('demo', 'GET'))
      expect(await throttle.look('demo', 'GET')).toEqual({ remaining: 0, next: now + 12_000 })
      await clock.advance(12_000)
      expect(await throttle.look('demo', 'GET')).toEqual({ remaining: 1, next: now + 12_000 })
      await clock.advance(600_000)
      expect(await throttle.look('demo', 'GET')).toEqual({ remaining: 5, next: now + 612_000 })
    })

    it('counts each project and each verb separately', async () => {
      const { throttle } = setUp(1)
      await throttle.take('demo', 'GET')
      expect(await throttle.take('demo', 'GET')).toEqual({ waitMs: 60_000 })
      expect(await throttle.take('demo', 'POST')).toEqual({ waitMs: 0 })
      expect(await throttle.take('alt', 'GET')).toEqual({ waitMs: 0 })
    })

    it('admits no more than the limit of many concurrent requests', async () => {
      const { throttle } = setUp(20)
      const waits = await Promise.all(Array.from({ length: 60 }, () => throttle.take('demo', 'GET')))
      expect(waits.filter(({ waitMs }) => waitMs === 0)).toHaveLength(20)
    })

    it('has no limit if it is 0', async () => {
      const { throttle } = setUp(0)
      expect(throttle.perMinute).toBe(0)
      expect(new Set(await times(1_000, () => throttle.take('demo', 'GET')))).toEqual(new Set([0]))
    })
  })
}
