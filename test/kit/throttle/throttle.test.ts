import { describe, expect, it } from '@jest/globals'
import { memoryThrottle } from '../../../lib/kit/throttle/memory.ts'
import { storedThrottle } from '../../../lib/kit/throttle/stored.ts'
import { leftIn, poured } from '../../../lib/kit/throttle/throttle.ts'
import { sqliteStore } from '../../../lib/platform/store/sqlite.ts'
import { throttleCases } from '../../cases/throttle.ts'
import { virtualClock } from '../virtual-clock.ts'

throttleCases('throttle in memory', memoryThrottle)
throttleCases('throttle in the store', (clock, perMinute) =>
  storedThrottle(sqliteStore(':memory:', { clock }), clock, perMinute),
)

describe('a bucket', () => {
  it('is never more than full, also when the clock was set back by an hour', () => {
    const now = 1_000_000_000
    const full = { water: 60_000, at: now + 3_600_000 }
    expect(poured(5, full, now).waitMs).toBe(12_000)
    expect(leftIn(5, full, now)).toEqual({ remaining: 0, next: now + 12_000 })
  })
})

describe('the throttle in the store', () => {
  it('is shared by processes, and its record ends within a minute of the bucket being empty', async () => {
    const clock = virtualClock()
    const store = sqliteStore(':memory:', { clock })
    const [one, other] = [storedThrottle(store, clock, 2), storedThrottle(store, clock, 2)]
    await one.take('demo', 'GET')
    await other.take('demo', 'GET')
    expect(await one.take('demo', 'GET')).toEqual({ waitMs: 30_000 })
    expect(await store.list('demo', 'throttle', { limit: 10 })).toHaveLength(1)
    await clock.advance(120_000)
    expect(await store.list('demo', 'throttle', { limit: 10 })).toHaveLength(0)
  })

  it('a refusal writes nothing', async () => {
    const clock = virtualClock()
    const store = sqliteStore(':memory:', { clock })
    const throttle = storedThrottle(store, clock, 1)
    await throttle.take('demo', 'GET')
    const [before] = await store.list('demo', 'throttle', { limit: 1 })
    await throttle.take('demo', 'GET')
    expect(await store.list('demo', 'throttle', { limit: 1 })).toEqual([before])
  })
})
