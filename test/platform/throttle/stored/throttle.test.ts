import { describe, expect, it } from '@jest/globals'
import { sqliteStore } from '../../../../lib/platform/store/sqlite/store.ts'
import { storedThrottle } from '../../../../lib/platform/throttle/stored/throttle.ts'
import { throttleCases } from '../../../cases/throttle.ts'
import { virtualClock } from '../../../kit/virtual-clock.ts'

throttleCases('the throttle in the store', (clock, perMinute) =>
  storedThrottle(sqliteStore(':memory:', { clock }), clock, perMinute),
)

describe('the throttle in the store in particular', () => {
  it('is shared by processes, and its record expires within a minute after the bucket is empty', async () => {
    const clock = virtualClock()
    const store = sqliteStore(':memory:', { clock })
    const [first, second] = [storedThrottle(store, clock, 2), storedThrottle(store, clock, 2)]
    await first.take('demo', 'GET')
    await second.take('demo', 'GET')
    expect(await first.take('demo', 'GET')).toEqual({ waitMs: 30_000 })
    expect(await store.list('demo', 'throttle', { limit: 10 })).toHaveLength(1)
    await clock.advance(120_000)
    expect(await store.list('demo', 'throttle', { limit: 10 })).toHaveLength(0)
  })

  it('writes nothing for a refused request', async () => {
    const clock = virtualClock()
    const store = sqliteStore(':memory:', { clock })
    const throttle = storedThrottle(store, clock, 1)
    await throttle.take('demo', 'GET')
    const [before] = await store.list('demo', 'throttle', { limit: 1 })
    await throttle.take('demo', 'GET')
    expect(await store.list('demo', 'throttle', { limit: 1 })).toEqual([before])
  })
})
